//! How much of the entities stays in memory: all of it, or what a budget allows.
//!
//! A clock's hand goes round the seats: an entity that nobody asked for since its last visit
//! leaves memory and is read from the engine when it is wanted again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::seats::{Seat, SeatNumber};
use super::tenants::{State, Tenant, Tenants};
use crate::model::Stored;

/// How many seats the hand visits before others get a turn.
const TURN: SeatNumber = 256;

/// The budget and what is used of it.
pub(super) struct Cache {
    /// In bytes; without it everything stays.
    budget: Option<u64>,
    used: AtomicU64,
    hand: Mutex<Hand>,
}

#[derive(Default)]
struct Hand {
    tenant: usize,
    seat: SeatNumber,
}

impl Cache {
    pub fn new(budget: Option<u64>) -> Self {
        Self { budget, used: AtomicU64::new(0), hand: Mutex::default() }
    }

    /// The bytes that entities and their renderings are taken to need.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether there is room for more than what is asked for, with some left for what will be.
    pub fn has_room(&self) -> bool {
        self.budget.is_none_or(|budget| self.used() < budget - budget / 4)
    }

    /// Keeps an entity in memory that nobody asked for: the first to go.
    pub fn lay_by(&self, seat: &mut Seat, entity: Arc<Stored>, weight: u32) {
        self.remember(seat, entity, weight);
        *seat.touched.get_mut() = false;
    }

    /// Keeps an entity in memory.
    pub fn remember(&self, seat: &mut Seat, entity: Arc<Stored>, weight: u32) {
        self.forget(seat);
        seat.entity = Some(entity);
        seat.weight = weight;
        seat.touched = AtomicBool::new(true);
        self.used.fetch_add(weight.into(), Ordering::Relaxed);
    }

    /// Lets an entity out of memory.
    pub fn forget(&self, seat: &mut Seat) {
        if seat.entity.take().is_some() {
            let weight = u64::from(seat.weight) + u64::from(seat.rendered);
            self.used.fetch_sub(weight, Ordering::Relaxed);
            (seat.weight, seat.rendered) = (0, 0);
        }
    }

    /// Lets entities out of memory until the budget is kept. Whoever filled memory pays.
    pub fn make_room(&self, tenants: &Tenants) {
        let Some(budget) = self.budget else { return };
        if self.used() <= budget {
            return;
        }
        // One at a time; a second caller need not wait.
        let Some(mut hand) = self.hand.try_lock() else { return };
        // A little more than needed, so that the hand rests between.
        let enough = budget - budget / 64;
        let all = tenants.all();
        let seats: u64 = all.iter().map(|tenant| u64::from(tenant.state.read().seats.end())).sum();
        let turns = 2 * seats.div_ceil(TURN.into()) + 2 * all.len() as u64;
        for _ in 0..turns {
            if self.used() <= enough {
                break;
            }
            self.turn(&mut hand, &all, true);
        }
    }

    /// Looks after renderings, which readers add without saying so. Called now and then.
    pub fn survey(&self, tenants: &Tenants, turns: usize) {
        if self.budget.is_none() {
            return;
        }
        {
            let mut hand = self.hand.lock();
            let all = tenants.all();
            for _ in 0..turns {
                self.turn(&mut hand, &all, false);
            }
        }
        self.make_room(tenants);
    }

    fn turn(&self, hand: &mut Hand, all: &[Arc<Tenant>], let_out: bool) {
        let Some(tenant) = all.get(hand.tenant) else {
            *hand = Hand::default();
            return;
        };
        let mut state = tenant.state.write();
        let end = state.seats.end().min(hand.seat.saturating_add(TURN));
        for number in hand.seat..end {
            self.visit(&mut state, number, let_out);
        }
        hand.seat = end;
        if end == state.seats.end() {
            *hand = Hand { tenant: hand.tenant + 1, seat: 0 };
        }
    }

    fn visit(&self, state: &mut State, number: SeatNumber, let_out: bool) {
        let Some(seat) = state.seats.get_mut(number) else { return };
        let Some(entity) = &seat.entity else { return };
        let rendered = entity.rendered.size().try_into().unwrap_or(u32::MAX);
        self.used.fetch_add(rendered.into(), Ordering::Relaxed);
        self.used.fetch_sub(seat.rendered.into(), Ordering::Relaxed);
        seat.rendered = rendered;
        if let_out && !std::mem::take(seat.touched.get_mut()) {
            self.forget(seat);
        }
    }
}
