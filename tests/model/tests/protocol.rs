use einhorn_model::{Bug, Protocol, Scenario, Failover};
use stateright::{Checker, Model};

fn run(name: &str, scenario: Scenario) {
    let begun = std::time::Instant::now();
    let checker = Protocol { scenario, bug: Bug::None }.checker().threads(1)
        .finish_when(stateright::HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{name}: {} states, {:?}", checker.unique_state_count(), begun.elapsed());
    for (property, path) in checker.discoveries() {
        let bad = !property.contains(" can ");
        println!("  {property} {}", path.clone().into_actions().len());
        if bad { println!("{:#?}", path.into_actions()); }
    }
    checker.assert_properties();
}

#[test] fn one() { run("one", Scenario::ONE); }
#[test] fn two() { run("two", Scenario { gateways: [Some(0), Some(1)], ..Scenario::ONE }); }
#[test] fn two_update() { run("two_update", Scenario { gateways: [Some(0), Some(1)], updates: [1,1], ..Scenario::ONE }); }
#[test] fn two_forget() { run("two_forget", Scenario { gateways: [Some(0), Some(1)], updates: [0,1], forgets: true, ..Scenario::ONE }); }
#[test] fn lost_anchor() { run("lost_anchor", Scenario { updates: [1,1], follows: [true;3],
   failover: Some(Failover{lost:0, successors:&[2], is_attested:false}), ..Scenario::ONE }); }
#[test] fn lost_part() { run("lost_part", Scenario { updates: [1,1], follows: [true;3],
   failover: Some(Failover{lost:1, successors:&[2], is_attested:false}), ..Scenario::ONE }); }
#[test] fn attested() { run("attested", Scenario { updates: [1,1], follows: [true;3],
   failover: Some(Failover{lost:1, successors:&[2], is_attested:true}), ..Scenario::ONE }); }
#[test] fn attested_anchor() { run("attested_anchor", Scenario { updates: [1,1], follows: [true;3],
   failover: Some(Failover{lost:0, successors:&[2], is_attested:true}), ..Scenario::ONE }); }
#[test] fn moves() { run("moves", Scenario { updates: [1,1], follows: [true;3], gateways:[Some(2),None], is_asked_late:true,
   moves: Some((1,2)), ..Scenario::ONE }); }
#[test] fn crash() { run("crash", Scenario { updates: [0,1], crashes: 2, ..Scenario::ONE }); }
#[test] fn z_as_built() { 
  for (lost, attested, moves, updates, bug) in [
   (0, true, None, [1,1], Bug::SuccessorCommits),
   (0, true, None, [1,1], Bug::None),
   (0, true, None, [1,2], Bug::None),
   (0, true, None, [1,2], Bug::FreedAtFinish),
   (1, true, Some((1,0)), [0,3], Bug::None),
   (1, false, Some((1,0)), [0,2], Bug::None),
   (0, false, Some((1,0)), [0,2], Bug::None),
   (0, true, Some((1,0)), [0,2], Bug::None),
 ] {
   let scenario = Scenario { updates, follows: [true;3], moves,
   failover: Some(Failover{lost, successors:&[2], is_attested:attested}), ..Scenario::ONE };
    let checker = Protocol { scenario, bug }.checker().threads(1).target_state_count(4_000_000)
        .finish_when(stateright::HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("lost {lost} attested {attested} moves {moves:?} {bug:?}: {}", checker.unique_state_count());
    for (property, path) in checker.discoveries() { if !property.contains(" can ") {
        println!("   {property}: {:?}", path.into_actions()); } }
  }
}
