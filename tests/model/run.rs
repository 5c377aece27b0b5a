//! Runs a model, and says what it saw.

use std::fmt::Write;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::random::SplitMix;
use crate::world::{Action, State, World};

/// What a run found.
pub(crate) struct Found {
    states: usize,
    depth: usize,
    is_whole: bool,
    took: Duration,
    /// Properties that are broken, or reached.
    names: Vec<&'static str>,
    /// The way to each property that is broken.
    example: String,
}

impl Found {
    fn of(checker: &impl Checker<World>, is_whole: bool, start: Instant) -> Found {
        let mut found: Vec<_> = checker.discoveries().into_iter().collect();
        found.sort_by_key(|(name, _)| *name);
        let broken = found.iter().filter(|(name, _)| World::SAFETY.contains(name));
        let example = broken.map(|(name, path)| format!("{name} does not hold:\n{}", told(path.clone()))).collect();
        let names = found.iter().map(|(name, _)| *name).collect();
        let (states, depth, took) = (checker.unique_state_count(), checker.max_depth(), start.elapsed());
        Found { states, depth, is_whole, took, names, example }
    }

    /// Prints one line for docs/MODEL.md.
    pub(crate) fn told(self, what: &str) -> Found {
        let Found { states, depth, took, .. } = self;
        let bound = if self.is_whole { "all" } else { "random walks" };
        println!("| {what} | {bound} | {states} | {depth} | {:.1} s |", took.as_secs_f32());
        self
    }

    /// Nothing that must hold was broken, and all that should happen can.
    pub(crate) fn holds(&self) {
        assert!(self.example.is_empty(), "{}", self.example);
        for name in World::REACHED {
            assert!(self.names.contains(&name), "it never happens that {name}");
        }
    }

    pub(crate) fn reached(&self) -> Vec<&'static str> {
        self.names.iter().copied().filter(|name| World::REACHED.contains(name)).collect()
    }
}

fn told(path: Path<State, Action>) -> String {
    let mut text = String::new();
    let steps: Vec<(State, Option<Action>)> = path.into_vec();
    steps.iter().for_each(|(state, action)| tell(state, action.as_ref(), &mut text));
    text
}

fn tell(state: &State, action: Option<&Action>, text: &mut String) {
    let _ = match action {
        Some(Action::Deliver(at)) => writeln!(text, "{:?}\nthen {:?}", state.nodes, state.network[*at]),
        Some(action) => writeln!(text, "{:?}\nthen {action:?}", state.nodes),
        None => writeln!(text, "{:?}", state.nodes),
    };
}

/// Every state that can be reached.
pub(crate) fn all(world: World) -> Found {
    let start = Instant::now();
    let checker = world.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    Found::of(&checker, checker.is_done(), start)
}

/// Whether a way is found to break this property.
pub(crate) fn breaks(world: World, name: &'static str) -> bool {
    let finish = HasDiscoveries::AllOf([name].into());
    world.checker().threads(2).finish_when(finish).spawn_bfs().join().discovery(name).is_some()
}

/// Wider bounds, for minutes: MODEL=long in the environment, as `just model` has it.
pub(crate) fn is_long() -> bool {
    std::env::var("MODEL").is_ok_and(|bounds| bounds == "long")
}

/// Random walks of at most `steps` steps, the same in each run: stateright's own lose their way over actions that change nothing.
pub(crate) fn walks(world: &World, seed: u64, steps: u32) -> Found {
    let start = Instant::now();
    let mut random = SplitMix(seed);
    let mut found =
        Found { states: 0, depth: 0, is_whole: false, took: Duration::ZERO, names: Vec::new(), example: String::new() };
    for _ in 0..if is_long() { 20_000 } else { 30 } {
        walk(world, &mut random, steps, &mut found);
    }
    found.took = start.elapsed();
    found
}

fn walk(world: &World, random: &mut SplitMix, steps: u32, found: &mut Found) {
    let mut state = world.start[random.index(world.start.len())].clone();
    let mut way = String::new();
    for step in 0..steps {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        let next = loop {
            if actions.is_empty() {
                return;
            }
            let action = actions.swap_remove(random.index(actions.len()));
            if let Some(next) = world.next_state(&state, action.clone()) {
                tell(&state, Some(&action), &mut way);
                break next;
            }
        };
        state = next;
        (found.states, found.depth) = (found.states + 1, found.depth.max(step as usize + 1));
        for property in world.properties() {
            let is_reached = property.expectation == Expectation::Sometimes;
            let is_news = (property.condition)(world, &state) == is_reached && !found.names.contains(&property.name);
            if is_news {
                found.names.push(property.name);
            }
            if is_news && !is_reached {
                tell(&state, None, &mut way);
                let _ = writeln!(found.example, "{} does not hold:\n{way}", property.name);
            }
        }
    }
}
