//! What a consumed catalog makes of the zones that are here (RFC 9432 §5).

use super::{Member, members};
use crate::model::request::Action;
use crate::model::settings::{Role, Settings};
use crate::model::{Zone, Zones};
use einhorn_wire::Name;

/// Zones, with what is to be done to each, in order.
pub type Requests = Vec<(Name, Action)>;

/// What a consumed catalog asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// What is to be done.
    pub requests: Requests,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// What is to be done so that the zones that `catalog` lists are followed here, and those that it
/// lists no longer are not. Zones that are here for another reason are never touched.
pub fn consume(catalog: &Zone, zones: &Zones) -> Consumed {
    let mut consumed = Consumed::default();
    // Not transferred yet: nothing is known, so nothing is done.
    if catalog.soa().is_none() {
        return consumed;
    }
    let members = match members(catalog) {
        Ok(members) => members,
        Err(error) => {
            consumed.warnings.push(format!("{error}; its zones stay as they are"));
            return consumed;
        }
    };
    let gone = members_here(&catalog.apex, zones).filter(|zone| !members.contains_key(&zone.apex));
    consumed.requests.extend(gone.map(|zone| (zone.apex.clone(), Action::RemoveZone)));
    for (name, member) in members {
        consumed.take_member(catalog, zones, name, member);
    }
    consumed
}

/// What is to be done when `catalog` is consumed no longer: the zones that it brought go.
pub fn abandon(catalog: &Name, zones: &Zones) -> Requests {
    members_here(catalog, zones).map(|zone| (zone.apex.clone(), Action::RemoveZone)).collect()
}

/// The zones that this catalog brought here.
fn members_here<'z>(catalog: &'z Name, zones: &'z Zones) -> impl Iterator<Item = &'z Zone> {
    let is_member = move |zone: &&Zone| matches!(&zone.settings.role, Role::Member { catalog: by, .. } if by == catalog);
    zones.iter().map(|zone| &**zone).filter(is_member)
}

impl Consumed {
    /// What becomes of one zone that the catalog lists (§5.2 to §5.6).
    fn take_member(&mut self, catalog: &Zone, zones: &Zones, name: Name, member: Member) {
        let role = Role::Member { catalog: catalog.apex.clone(), unique: member.unique.clone() };
        // A member is kept as its catalog is.
        let settings = Settings { role, ..(*catalog.settings).clone() };
        let Some(zone) = zones.get(&name) else {
            self.requests.push((name, Action::Configure(settings)));
            return;
        };
        let Role::Member { catalog: by, unique } = &zone.settings.role else {
            self.warnings.push(format!(
                "catalog {} lists zone {name}, which is kept here for another reason; it stays as it is",
                catalog.apex
            ));
            return;
        };
        if *by != catalog.apex && !may_change_owner(zones, by, &name, &catalog.apex) {
            self.warnings.push(format!(
                "catalog {} lists zone {name}, which catalog {by} brought here and does not give away",
                catalog.apex
            ));
            return;
        }
        // Another label is another zone of the same name: nothing of the old one stays (§5.6).
        if *unique != member.unique {
            self.requests.push((name.clone(), Action::RemoveZone));
        } else if *zone.settings == settings {
            return;
        }
        self.requests.push((name, Action::Configure(settings)));
    }
}

/// Whether the catalog that brought `zone` here says that it may move to `to` (§4.3.1).
fn may_change_owner(zones: &Zones, from: &Name, zone: &Name, to: &Name) -> bool {
    let Some(from) = zones.get(from).filter(|from| from.settings.role == Role::Consumer) else {
        return false;
    };
    let members = members(from).unwrap_or_default();
    members.get(zone).is_some_and(|member| member.change_of_ownership.as_ref() == Some(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Rules;
    use crate::commit::{Commit, Output};
    use crate::model::request::{Commitment, Identity, Outcome, ReplaceReason, Request, RequestId};
    use crate::model::{Origin, State};
    use crate::rules::replace::{self, Overwrite};
    use crate::rules::zone::names_of_zone;
    use einhorn_wire::zonefile;
    use std::path::Path;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// A site that zones come to and go from.
    struct Site {
        commit: Commit<()>,
        requests: u8,
    }

    impl Site {
        fn new() -> Site {
            let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
            commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
            Site { commit, requests: 0 }
        }

        fn submit(&mut self, zone: Name, action: Action) {
            self.requests += 1;
            let request = Request {
                id: RequestId([self.requests; 32]),
                remember_until_seconds: 60,
                who: Identity::Operator,
                zone,
                action,
                entered_site: 1,
                audit_commitment: Commitment([0; 32]),
                decision: None,
                audit: Vec::new(),
            };
            let mut out = Vec::new();
            self.commit.request(0, request, (), &mut out);
            self.commit.flush(0, &mut out);
            self.commit.appended(0, &mut out);
            for output in out {
                if let Output::Answer((), Outcome::Refused { reason, .. }, _) = output {
                    panic!("{reason}");
                }
            }
        }

        fn zones(&self) -> &Zones {
            &self.commit.state().zones
        }

        /// Makes a consumed catalog say this.
        fn catalog(&mut self, apex: &str, serial: u32, lines: &str) {
            let apex = name(apex);
            if self.zones().get(&apex).is_none() {
                let primaries = vec!["192.0.2.1 key k.".parse().expect("a server")];
                let role = Role::Consumer;
                let settings = Settings { primaries, role, ..Settings::default() };
                self.submit(apex.clone(), Action::Configure(settings));
            }
            let text = format!("@ 0 SOA . . {serial} 1 1 1 1\n@ 0 NS invalid.\n{lines}");
            let records =
                zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
            let names = names_of_zone(&apex, records.expect("records")).expect("a zone");
            let zone = self.zones().get(&apex).expect("the catalog");
            let from = zone.soa().is_some().then_some(zone.serial);
            let names = replace::whole(zone, names, Overwrite::All).names;
            let reason = ReplaceReason::Transfer { from, to: serial };
            self.submit(apex, Action::Replace { reason, names });
        }

        /// Does what a catalog asks for, and tells it as text.
        fn consume(&mut self, apex: &str) -> Vec<String> {
            let Consumed { requests, warnings } =
                consume(self.zones().get(&name(apex)).expect("the catalog"), self.zones());
            let mut said = Vec::new();
            for (zone, action) in requests {
                said.push(match &action {
                    Action::RemoveZone => format!("-{zone}"),
                    Action::Configure(settings) => {
                        assert_eq!(settings.primaries.len(), 1);
                        format!("+{zone}")
                    }
                    other => panic!("{other:?}"),
                });
                self.submit(zone, action);
            }
            said.extend(warnings.into_iter().map(|warning| format!("! {warning}")));
            said
        }
    }

    const VERSION: &str = "version 0 TXT 2\n";

    fn listing(lines: &str) -> String {
        format!("{VERSION}{lines}")
    }

    #[test]
    fn zones_come_and_go_with_their_catalog() {
        let mut site = Site::new();
        site.catalog("c.", 1, &listing("u1.zones 0 PTR a.\nu2.zones 0 PTR b.\n"));
        assert_eq!(site.consume("c."), ["+a.", "+b."]);
        assert_eq!(site.consume("c."), [""; 0], "once is enough");
        // Case and order mean nothing; another label means another zone.
        site.catalog("c.", 2, &listing("U1.ZONES 0 PTR A.\nu3.zones 0 PTR b.\n"));
        assert_eq!(site.consume("c."), ["-b.", "+b."]);
        site.catalog("c.", 3, &listing("u3.zones 0 PTR b.\n"));
        assert_eq!(site.consume("c."), ["-a."]);
        assert_eq!(abandon(&name("c."), site.zones()), [(name("b."), Action::RemoveZone)]);
    }

    #[test]
    fn a_broken_catalog_changes_nothing() {
        let mut site = Site::new();
        site.catalog("c.", 1, &listing("u1.zones 0 PTR a.\n"));
        site.consume("c.");
        let broken = [
            "u1.zones 0 PTR b.\n".to_owned(),
            "version 0 TXT 1\n".to_owned(),
            "version 0 TXT 2\nversion 0 TXT 1\n".to_owned(),
            listing("u1.zones 0 PTR b.\nu2.zones 0 PTR b.\n"),
            listing("u1.zones 0 PTR b.\nu1.zones 0 PTR d.\n"),
        ];
        for (serial, lines) in (2..).zip(&broken) {
            site.catalog("c.", serial, lines);
            let said = site.consume("c.");
            assert!(said.len() == 1 && said[0].starts_with("! catalog c."), "{lines}: {said:?}");
        }
    }

    #[test]
    fn what_is_here_for_another_reason_stays() {
        let mut site = Site::new();
        let primaries = vec!["192.0.2.9".parse().expect("a server")];
        let own = Settings { primaries, ..Settings::default() };
        site.submit(name("own."), Action::Configure(own));
        site.catalog("c.", 1, &listing("u1.zones 0 PTR own.\nu2.zones 0 PTR c.\n"));
        let said = site.consume("c.");
        assert!(said.len() == 2 && said.iter().all(|said| said.starts_with('!')), "{said:?}");
        assert!(said.iter().all(|said| said.contains("another reason")), "{said:?}");
        site.catalog("c.", 2, VERSION);
        assert_eq!(site.consume("c."), [""; 0]);
    }

    #[test]
    fn a_zone_changes_its_catalog_only_with_consent() {
        let mut site = Site::new();
        site.catalog("c.", 1, &listing("u1.zones 0 PTR a.\n"));
        site.consume("c.");
        site.catalog("d.", 1, &listing("u1.zones 0 PTR a.\n"));
        let said = site.consume("d.");
        assert!(said.len() == 1 && said[0].contains("does not give away"), "{said:?}");
        site.catalog("c.", 2, &listing("u1.zones 0 PTR a.\ncoo.u1.zones 0 PTR d.\n"));
        assert_eq!(site.consume("c."), [""; 0]);
        assert_eq!(site.consume("d."), ["+a."], "the same label: its content stays");
        // Now it is the other's.
        site.catalog("c.", 3, VERSION);
        assert_eq!(site.consume("c."), [""; 0]);
        site.catalog("d.", 2, VERSION);
        assert_eq!(site.consume("d."), ["-a."]);
    }
}
