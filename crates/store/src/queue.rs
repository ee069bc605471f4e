//! A bounded queue between tasks, which push and never wait, and threads, which take and do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The queue.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    items_max: usize,
}

struct State<T> {
    items: VecDeque<T>,
    is_open: bool,
    /// How many threads wait: one that is at work need not be woken, and to wake is a system call.
    waiting: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(items_max: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), is_open: true, waiting: 0 };
        Queue { state: Mutex::new(state), filled: Condvar::new(), items_max }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is done under the lock that could panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; false when the queue is full or closed, and the item is gone.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.state();
        if !state.is_open || state.items.len() >= self.items_max {
            return false;
        }
        state.items.push_back(item);
        let is_waited_for = state.waiting > 0;
        drop(state);
        if is_waited_for {
            self.filled.notify_one();
        }
        true
    }

    /// Nothing more comes in; what is in is still taken.
    pub(crate) fn close(&self) {
        self.state().is_open = false;
        self.filled.notify_all();
    }

    /// Whether anything may still come in.
    pub(crate) fn is_open(&self) -> bool {
        self.state().is_open
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Waits for items, at most for so long, and takes from the front: the first, and then for as long as `goes_on` says so of
    /// the next. None when the queue is closed and empty; empty when the wait was in vain.
    pub(crate) fn take(&self, patience: Duration, mut goes_on: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
        let mut state = self.state();
        if state.items.is_empty() && state.is_open {
            state.waiting += 1;
            let waiting =
                self.filled.wait_timeout_while(state, patience, |state| state.items.is_empty() && state.is_open);
            state = waiting.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        if state.items.is_empty() && !state.is_open {
            return None;
        }
        let mut taken = Vec::new();
        while let Some(next) = state.items.front() {
            if !goes_on(next) && !taken.is_empty() {
                break;
            }
            taken.extend(state.items.pop_front());
        }
        Some(taken)
    }
}
