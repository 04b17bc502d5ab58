//! Updates over real HTTP, before a commit that says what it is asked.

use super::*;
use crate::dispatch::tests::ingress;
use crate::http::{DeviceSide, Offers};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::Receiver;
use einhorn_core::model::{Origin, Position};
use einhorn_core::rules::policy::{Grant, NamePattern, Policy};
use einhorn_wire::tsig::KeyRing;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

const KEY: &str = "hmac-sha256:host.example.:c2VjcmV0IG9mIHRoZSBwaG9uZQ==";

/// One offer, open until it is taken.
struct Once(Mutex<Option<Vec<u8>>>);

impl Offers for Once {
    fn is_open(&self, token: &str) -> io::Result<bool> {
        Ok(token == "t0ken" && lock(&self.0).is_some())
    }

    fn take(&self, token: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(if token == "t0ken" { lock(&self.0).take() } else { None })
    }
}

/// A server with the zone `example.` and one key, for `host.example.` and `new.host.example.`.
struct Server {
    address: SocketAddr,
    submitted: Receiver<Vec<Operation>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(outcome: Outcome) -> Server {
        let (submissions, taken) = crossbeam_channel::bounded::<Submission>(64);
        let mut keys = KeyRing::default();
        let key: einhorn_wire::tsig::Key = KEY.parse().expect("a key");
        let grant = Grant {
            key: key.name().clone(),
            zone: None,
            names: vec![NamePattern::OwnSubtree],
            types: Some(vec![RecordType::A, RecordType::AAAA]),
            transfer: false,
        };
        keys.insert(key);
        let proxies = vec!["127.0.0.2/32".parse().expect("a prefix")];
        let access = Access { keys, policy: Policy::new([grant]), proxies };
        let ingress = Ingress { submissions, access: ArcSwap::from_pointee(access), ..ingress() };
        let (tell, submitted) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            for submission in taken {
                assert_eq!(submission.request.who.to_string(), "key host.example.");
                let Action::Update { operations, .. } = submission.request.action else {
                    panic!("an update")
                };
                let Reply::Local(answer) = submission.reply else { panic!("a local reply") };
                // Nobody listens any more only when the test has ended.
                let _ = tell.send(operations);
                answer(outcome.clone());
            }
        });
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let side = DeviceSide {
            ingress: Arc::new(ingress),
            offers: Arc::new(Once(Mutex::new(Some(b"profile".to_vec())))),
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let service = side.routes().into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Server { address, submitted, _runtime: runtime }
    }

    fn done() -> Server {
        let at = Position { origin: Origin { site: 1, generation: 1 }, index: 1 };
        Server::start(Outcome::Done { at })
    }

    /// The whole response to a request with these headers.
    fn raw(&self, version: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        let request =
            format!("GET {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a response");
        text
    }

    fn ask(&self, query: &str) -> String {
        let text = self.raw("1.1", &format!("/nic/update?{query}"), &authorized());
        text.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    fn operations(&self) -> Vec<Operation> {
        self.submitted.try_recv().expect("an update")
    }
}

fn authorized() -> String {
    let secret = KEY.rsplit(':').next().expect("a secret");
    let shown = STANDARD.encode(format!("host.example:{secret}"));
    format!("Authorization: Basic {shown}\r\nUser-Agent: test\r\n")
}

fn owner(operation: &Operation) -> String {
    operation.owner().to_string()
}

#[test]
fn each_return_code() {
    let server = Server::done();
    for (query, expected) in [
        ("hostname=host.example&myip=192.0.2.1", "nochg 192.0.2.1\n"),
        ("hostname=host.example&myip=192.0.2.9", "good 192.0.2.9\n"),
        ("hostname=host.example&myip=192.0.2.9,2001:db8::9", "good 192.0.2.9,2001:db8::9\n"),
        ("hostname=host.example", "good 127.0.0.1\n"),
        ("hostname=host.example&offline=YES", "good\n"),
        ("hostname=new.host.example&offline=YES", "nochg\n"),
        ("hostname=host.example&myip=nonsense", "dnserr\n"),
        ("hostname=new.host.example&ip6lanprefix=2001:db8::/64", "dnserr\n"),
        ("hostname=host", "notfqdn\n"),
        ("myip=192.0.2.1", "notfqdn\n"),
        ("hostname=host.other.test", "nohost\n"),
        ("hostname=ns.example&myip=192.0.2.9", "!yours\n"),
        ("hostname=ns.example&offline=YES", "!yours\n"),
        (
            "hostname=new.host.example,host.other.test,host.example&myip=192.0.2.1",
            "good 192.0.2.1\nnohost\nnochg 192.0.2.1\n",
        ),
    ] {
        assert_eq!(server.ask(query), expected, "{query}");
    }
    let many = format!("hostname={}", "host.example,".repeat(21));
    assert_eq!(server.ask(&many), "numhost\n");
    let refused = Server::start(Outcome::servfail("the disk is full"));
    assert_eq!(refused.ask("hostname=host.example&myip=192.0.2.9"), "dnserr\n");
    let denied = Outcome::Refused { rcode: Rcode::REFUSED, reason: "no".to_owned() };
    assert_eq!(Server::start(denied).ask("hostname=host.example&myip=192.0.2.9"), "!yours\n");
}

#[test]
fn a_server_that_takes_nothing_says_so() {
    // The commit's end of the channel is gone.
    let (updates, failures) = (Mutex::default(), Mutex::default());
    let desk = Desk { ingress: Arc::new(ingress()), updates, failures };
    let (user, access) = ("host.example.".parse().expect("a name"), Access::default());
    let who = Who { user: &user, source: Ipv4Addr::LOCALHOST.into(), access: &access };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.expect("a runtime").block_on(desk.submit(&who, Name::root(), Vec::new()));
    assert_eq!(told, None);
}

#[test]
fn only_who_shows_a_secret_is_heard() {
    let server = Server::done();
    let path = "/nic/update?hostname=host.example&myip=192.0.2.9";
    let status = |headers: &str| {
        let text = server.raw("1.1", path, headers);
        let body = text.split_once("\r\n\r\n").expect("a body").1.to_owned();
        (text.split(' ').nth(1).expect("a status").to_owned(), body)
    };
    let (unauthorized, badauth) = ("401".to_owned(), "badauth\n".to_owned());
    let agent = "User-Agent: test\r\n";
    assert_eq!(status(agent), (unauthorized.clone(), badauth.clone()));
    assert_eq!(status("User-Agent:\r\n").1, "badagent\n");
    assert_eq!(status(authorized().replace("User-Agent: test\r\n", "").as_str()).1, "badagent\n");
    let wrong = format!("Authorization: Basic {}\r\n{agent}", STANDARD.encode("host.example:x"));
    for _ in 0..FAILURES_A_MINUTE_MAX {
        assert_eq!(status(&wrong), (unauthorized.clone(), badauth.clone()));
    }
    // A minute may begin in between, which gives as many tries again.
    let tries = (0..=FAILURES_A_MINUTE_MAX).map(|_| status(&wrong).1);
    assert!(tries.into_iter().any(|body| body == "abuse\n"));
    assert_eq!(status(&authorized()).1, "abuse\n", "not even the right one is tried");
    assert!(server.submitted.try_recv().is_err());
}

#[test]
fn who_updates_all_the_time_is_told_to_stop() {
    let server = Server::done();
    let hosts = "host.example,".repeat(20);
    let query = format!("hostname={hosts}&myip=192.0.2.9");
    let lines: String = (0..4).map(|_| server.ask(&query)).collect();
    // Unless a minute began in between, which gives 60 more.
    assert!(lines.matches("good").count() <= 80);
    let again = (0..4).map(|_| server.ask(&query)).collect::<String>() + &lines;
    assert!(again.contains("abuse\n"), "{again}");
}

#[test]
fn updates_are_what_anybody_would_send() {
    let server = Server::done();
    server.ask("hostname=new.host.example&myip=192.0.2.9,2001:db8::9");
    let operations = server.operations();
    assert!(operations.iter().all(|operation| owner(operation) == "new.host.example."));
    let rtypes: Vec<_> = operations.iter().filter_map(Operation::rtype).collect();
    use RecordType as R;
    assert_eq!(rtypes, [R::A, R::A, R::AAAA, R::AAAA]);
    // The TTL of the record that is there, which other families keep.
    server.ask("hostname=host.example&myip=192.0.2.9");
    let operations = server.operations();
    assert!(
        matches!(&operations[1], Operation::Add { ttl: 300, rdata, .. } if rdata[..] == [192, 0, 2, 9])
    );
    assert_eq!(operations.len(), 2);
    server.ask("hostname=new.host.example&myipv6=2001:db8::9&ip6lanprefix=2001:db8:7::/64");
    let Operation::Add { rdata, .. } = &server.operations()[1] else { panic!("an address") };
    let address: Ipv6Addr = <[u8; 16]>::try_from(&rdata[..]).expect("16 octets").into();
    assert_eq!(address.to_string(), "2001:db8:7::9");
}

#[test]
fn old_http_and_forwarded_addresses() {
    let server = Server::done();
    let headers = format!("{}X-Forwarded-For: 203.0.113.7\r\n", authorized());
    let text = server.raw("1.0", "/nic/update?hostname=host.example", &headers);
    // This test's own address is no listed proxy.
    assert!(text.starts_with("HTTP/1.0 200") && text.ends_with("good 127.0.0.1\n"), "{text}");
    let headers_of = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, text.parse().expect("a header"));
        headers
    };
    let access =
        Access { proxies: vec!["127.0.0.2/32".parse().expect("a prefix")], ..Access::default() };
    let of = |peer: [u8; 4]| source((peer, 80).into(), &headers_of("203.0.113.7"), &access);
    assert_eq!(of([127, 0, 0, 2]), IpAddr::from([203, 0, 113, 7]));
    assert_eq!(of([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn an_offered_profile_is_shown_often_and_given_once() {
    let server = Server::done();
    for _ in 0..2 {
        let page = server.raw("1.1", "/enrol/t0ken", "");
        assert!(page.contains("href=\"t0ken/profile\"") && page.contains("text/html"), "{page}");
    }
    let profile = server.raw("1.1", "/enrol/t0ken/profile", "");
    assert!(profile.contains("content-type: application/x-apple-aspen-config"), "{profile}");
    assert!(profile.ends_with("profile"));
    for path in ["/enrol/t0ken/profile", "/enrol/t0ken", "/enrol/other", "/enrol/%3Cscript%3E"] {
        assert!(server.raw("1.1", path, "").starts_with("HTTP/1.1 404"), "{path}");
    }
}
