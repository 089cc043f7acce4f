//! Which tunnels are due to be judged. A tunnel is a conversation between its two ends, beside those that it carries. Its
//! packets are dealt by their content, so that the pair of its ends is dealt apart: once, and again after a silence that would
//! end a conversation of datagrams.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::frame::Outer;

/// Recently seen tunnels.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// Packet clock of the last packet of each, nanoseconds.
    seen: HashMap<Outer, i64>,
    /// Ends of mirror sessions, which carry captured traffic and are none of the plant.
    mirrors: Vec<IpAddr>,
    pub(super) counters: TunnelCounters,
}

/// Counters of tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TunnelCounters {
    /// Tunnels begun, without mirror sessions.
    pub(super) begun: u64,
    /// Tunnels that were evicted because there were too many.
    pub(super) forgotten: u64,
}

impl Tunnels {
    pub(super) fn new(mirrors: Vec<IpAddr>) -> Self {
        Self { mirrors, ..Self::default() }
    }

    /// Notes a packet of a tunnel at `clock`, and returns whether the tunnel is due.
    pub(super) fn note_packet(&mut self, tunnel: &Outer, clock: i64) -> bool {
        if let Some(last) = self.seen.get_mut(tunnel) {
            return clock.saturating_sub(std::mem::replace(last, clock)) >= SILENCE;
        }
        if self.mirrors.iter().any(|mirror| tunnel.ends.contains(mirror)) {
            return false;
        }
        if self.seen.len() >= MAX_TUNNELS {
            self.evict_idle(clock);
        }
        self.seen.insert(*tunnel, clock);
        self.counters.begun += 1;
        true
    }

    /// Removes silent tunnels; if the table is still full, removes all.
    fn evict_idle(&mut self, clock: i64) {
        self.seen.retain(|_, last| clock.saturating_sub(*last) < SILENCE);
        if self.seen.len() >= MAX_TUNNELS {
            self.counters.forgotten += self.seen.len() as u64;
            self.seen.clear();
        }
    }

    /// Makes every tunnel due again, under another policy.
    pub(super) fn make_all_due(&mut self) {
        self.seen.values_mut().for_each(|last| *last = i64::MIN);
    }
}

/// Tunnels that are remembered, about 60 bytes each.
const MAX_TUNNELS: usize = 8192;

/// Silence after which a tunnel is judged again, nanoseconds: the idle timeout of datagrams.
const SILENCE: i64 = 300_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::OuterCarrier;

    fn tunnel(number: u32) -> Outer {
        let address = |number: u32| IpAddr::V4(number.into());
        Outer { ends: [address(number), address(number + 1)], carrier: OuterCarrier::Ip(47) }
    }

    #[test]
    fn a_tunnel_is_judged_once_and_again_after_a_silence() {
        let mut tunnels = Tunnels::default();
        let due = [0, 1, SILENCE, 2 * SILENCE, 2 * SILENCE + 1].map(|clock| tunnels.note_packet(&tunnel(1), clock));
        assert_eq!(due, [true, false, false, true, false]);
        assert!(tunnels.note_packet(&Outer { carrier: OuterCarrier::Udp(4789), ..tunnel(1) }, 0));
        tunnels.make_all_due();
        assert!(tunnels.note_packet(&tunnel(1), 2 * SILENCE + 2));
        assert_eq!(tunnels.counters.begun, 2);
    }

    #[test]
    fn a_mirror_session_is_not_judged() {
        let mut tunnels = Tunnels::new(vec![IpAddr::V4(2.into())]);
        assert!(
            !tunnels.note_packet(&tunnel(1), 0)
                && !tunnels.note_packet(&tunnel(2), 0)
                && tunnels.note_packet(&tunnel(3), 0)
        );
    }

    #[test]
    fn tunnels_without_end_are_forgotten_and_counted() {
        let mut tunnels = Tunnels::default();
        let many = MAX_TUNNELS as u32;
        assert!((0..many).all(|number| tunnels.note_packet(&tunnel(number * 2), 0)));
        assert!(tunnels.note_packet(&tunnel(1), 1));
        assert_eq!((tunnels.counters.forgotten, tunnels.seen.len()), (u64::from(many), 1));
        // Silent tunnels go first, and are no loss.
        assert!((0..many).all(|number| tunnels.note_packet(&tunnel(number * 2), 1 + i64::from(number))));
        assert!(tunnels.note_packet(&tunnel(3), SILENCE + 2));
        assert_eq!(tunnels.counters.forgotten, 2 * u64::from(many), "only one of them was silent for long enough");
    }
}
