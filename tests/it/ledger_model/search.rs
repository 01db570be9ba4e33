//! Walks every state that a world can reach, nearest first, so that the first fault found has the shortest trace.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::model::{Fault, State, World};

/// Every state that was reached, and from which one first.
pub struct Explored {
    world: World,
    states: Vec<State>,
    came_from: Vec<u32>,
    found: HashMap<u64, u32, BuildHasherDefault<Spread>>,
}

impl World {
    /// Every reachable state; or the shortest way to a state with a fault that `wanted` accepts.
    pub fn explore(self, wanted: impl Fn(Fault) -> bool) -> Result<Explored, (Fault, String)> {
        let mut seen = Explored {
            world: self,
            states: vec![State::START],
            came_from: vec![0],
            found: HashMap::default(),
        };
        seen.found.insert(State::START.key(), 0);
        let mut next = Vec::new();
        let mut at = 0;
        while let Some(now) = seen.states.get(at).copied() {
            if let Some(fault) = now.fault(&self.times).filter(|fault| wanted(*fault)) {
                return Err((fault, seen.trace(at)));
            }
            self.all(&now, &mut next);
            for (_, then) in &next {
                let index = seen.states.len() as u32;
                seen.found.entry(then.key()).or_insert_with(|| {
                    seen.states.push(*then);
                    seen.came_from.push(at as u32);
                    index
                });
            }
            at += 1;
        }
        Ok(seen)
    }
}

impl Explored {
    pub fn count(&self) -> usize {
        self.states.len()
    }

    /// Whether everything comes to rest, from every state and in every order of steps, once trouble is over: no way
    /// through the calm steps comes back to where it was. If one does, the trace that leads into the circle.
    pub fn comes_to_rest(&self) -> Result<(), (Fault, String)> {
        const NEW: u8 = 0;
        const ON_THE_WAY: u8 = 1;
        const RESTS: u8 = 2;
        let mut mark = vec![NEW; self.states.len()];
        let mut way: Vec<(u32, Vec<u32>)> = Vec::new();
        for start in 0..self.states.len() as u32 {
            if mark[start as usize] == NEW {
                mark[start as usize] = ON_THE_WAY;
                way.push((start, self.calmly_after(start)));
            }
            while let Some((at, next)) = way.last_mut() {
                let Some(then) = next.pop() else {
                    mark[*at as usize] = RESTS;
                    way.pop();
                    continue;
                };
                match mark[then as usize] {
                    NEW => {
                        mark[then as usize] = ON_THE_WAY;
                        way.push((then, self.calmly_after(then)));
                    }
                    ON_THE_WAY => return Err((Fault::Restless, self.trace(then as usize))),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn calmly_after(&self, at: u32) -> Vec<u32> {
        let now = &self.states[at as usize];
        if now.at_rest() {
            return Vec::new();
        }
        let mut next = Vec::new();
        self.world.calm(now, &mut next);
        next.iter().map(|(_, then)| self.found[&then.key()]).collect()
    }

    /// How the state at `at` came about, told step by step.
    fn trace(&self, mut at: usize) -> String {
        let mut told = Vec::new();
        let mut next = Vec::new();
        while at > 0 {
            let before = self.came_from[at] as usize;
            self.world.all(&self.states[before], &mut next);
            let step = next.iter().find(|(_, then)| *then == self.states[at]);
            told.push(step.expect("it came about by a step").0.to_string());
            at = before;
        }
        told.reverse();
        told.join(" · ")
    }
}

/// Keys are packed bits already: one multiplication spreads them well enough, and tests are built without optimising.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn write_u64(&mut self, key: u64) {
        let product = u128::from(key) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole keys are hashed");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
