//! How many calls may be under way: to one host, and for one clinic, so that one clinic's campaign does not keep another
//! from a host. Codes have lanes of their own. An idle lane takes no memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Lane;
use crate::ids::ClinicId;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Road {
    Host(String, Lane),
    Clinic(ClinicId, Lane),
}

/// The lanes of one process.
pub struct Lanes {
    for_each_host: usize,
    for_each_clinic: usize,
    roads: Mutex<HashMap<Road, Arc<Semaphore>>>,
}

/// A place in both lanes, until it is dropped.
pub struct Place {
    _clinic: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Lanes {
    pub fn new(for_each_host: usize, for_each_clinic: usize) -> Self {
        Self { for_each_host, for_each_clinic, roads: Mutex::default() }
    }

    /// A place for a call, or `None` when none came free in time.
    pub async fn enter(
        &self,
        clinic_id: ClinicId,
        host: &str,
        lane: Lane,
        wait: Duration,
    ) -> Option<Place> {
        let deadline = Instant::now() + wait;
        // The clinic's first: what waits for it must not hold a place of the host.
        let clinic = self.road(Road::Clinic(clinic_id, lane), self.for_each_clinic);
        let clinic = timeout_at(deadline, clinic.acquire_owned()).await.ok()?.ok()?;
        let host = self.road(Road::Host(host.to_owned(), lane), self.for_each_host);
        let host = timeout_at(deadline, host.acquire_owned()).await.ok()?.ok()?;
        Some(Place { _clinic: clinic, _host: host })
    }

    fn road(&self, road: Road, width: usize) -> Arc<Semaphore> {
        let mut roads = self.roads.lock().unwrap_or_else(PoisonError::into_inner);
        if roads.len() >= 256 && !roads.contains_key(&road) {
            // Who holds or waits for a place holds the road, too.
            roads.retain(|_, road| Arc::strong_count(road) > 1);
        }
        roads.entry(road).or_insert_with(|| Arc::new(Semaphore::new(width))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn a_full_clinic_keeps_nobody_else_waiting() {
        let lanes = Lanes::new(4, 2);
        let (shanti, arogya) = (ClinicId::new(), ClinicId::new());
        let first = lanes.enter(shanti, "a", Lane::Others, NOW).await;
        let second = lanes.enter(shanti, "a", Lane::Others, NOW).await;

        assert!(first.is_some() && second.is_some());
        assert!(lanes.enter(shanti, "a", Lane::Others, NOW).await.is_none());
        assert!(lanes.enter(shanti, "a", Lane::Codes, NOW).await.is_some());
        assert!(lanes.enter(arogya, "a", Lane::Others, NOW).await.is_some());
        drop(first);
        assert!(lanes.enter(shanti, "a", Lane::Others, NOW).await.is_some());
    }

    #[tokio::test]
    async fn a_host_takes_so_many_of_all_clinics_together() {
        let lanes = Lanes::new(3, 2);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(lanes.enter(ClinicId::new(), "a", Lane::Others, NOW).await.unwrap());
        }

        assert!(lanes.enter(ClinicId::new(), "a", Lane::Others, NOW).await.is_none());
        assert!(lanes.enter(ClinicId::new(), "b", Lane::Others, NOW).await.is_some());
        assert!(lanes.enter(ClinicId::new(), "a", Lane::Codes, NOW).await.is_some());
    }

    #[tokio::test]
    async fn idle_lanes_are_forgotten_and_busy_ones_are_not() {
        let lanes = Lanes::new(1, 1);
        let busy = ClinicId::new();
        let place = lanes.enter(busy, "busy", Lane::Others, NOW).await;
        for number in 0..2_000 {
            lanes.enter(ClinicId::new(), &number.to_string(), Lane::Others, NOW).await.unwrap();
        }

        assert!(place.is_some() && lanes.enter(busy, "other", Lane::Others, NOW).await.is_none());
        assert!(lanes.roads.lock().unwrap().len() <= 257);
    }
}
