//! The trials: each evasion of the generator, and each request that violates its specification.

use std::rc::Rc;
use std::time::Duration;

use crate::evasion::attacks::{ATTACKS, LIES, Lie, Requests};
use crate::evasion::speech::{Speech, s7_item, s7_pdu};
use crate::evasion::wire::{Line, Segment};
use crate::servers::Stack;
use crate::talk::Talk;
use crate::twists::{Twist, s7_stop, twists};

/// Requests that are sent to a server in a new conversation.
pub(crate) struct Trial {
    pub name: String,
    /// An honest twin: no decoys, and only permitted requests.
    pub is_honest: bool,
    /// Sends data in the SYN, which a server ignores.
    pub is_early: bool,
    pub send: Box<dyn Fn(&mut Talk)>,
    /// Further trials if the server executes this one.
    pub then: Option<Box<Self>>,
}

/// A way to send requests.
type Way = Rc<dyn Fn(&mut Line, &Requests<'_>)>;
/// The request that the server shall execute, and the decoy for the sensor.
type Choice = fn(&Speech) -> [Vec<u8>; 2];

/// All trials of a stack.
pub(crate) fn trials(stack: &Stack) -> Vec<Trial> {
    let mut trials = vec![Trial { is_early: true, ..hidden("a decoy in the SYN", Rc::new(honestly), write) }];
    for (name, has_twin, way) in evasions() {
        if has_twin {
            trials.push(honest(&name, way.clone()));
        }
        trials.push(hidden(&name, way.clone(), write));
        if stack.protocol == "s7comm" {
            trials.push(hidden(&format!("stop: {name}"), way, stop));
        }
    }
    trials.extend(twists(stack.protocol).into_iter().map(twisted));
    trials
}

/// The attacks of the generator with every decoy, and whether each has an honest twin.
fn evasions() -> Vec<(String, bool, Way)> {
    let mut evasions: Vec<(String, bool, Way)> =
        ATTACKS.iter().map(|attack| (attack.name.to_owned(), attack.has_twin, Rc::new(attack.send) as Way)).collect();
    for lie in LIES {
        let pieces: Way = Rc::new(move |line, requests| in_two_pieces(line, requests, lie));
        let byte: Way = Rc::new(move |line, requests| one_byte(line, requests, lie));
        evasions.push((format!("a decoy ({lie:?}), then the real one in two pieces"), true, pieces));
        evasions.push((format!("one byte that differs, first as a decoy ({lie:?})"), false, byte));
    }
    evasions.push(("forty decoys with wrong checksums, then the real one".into(), false, Rc::new(without_checksums)));
    evasions
}

fn write(speech: &Speech) -> [Vec<u8>; 2] {
    [speech.write.clone(), speech.decoy.clone()]
}

/// PLC stop, and a read of equal length.
fn stop(_: &Speech) -> [Vec<u8>; 2] {
    let read = [&[4, 1][..], &s7_item(10, 0, 4)].concat();
    [s7_stop(), s7_pdu(1, 8, &[], &read, &[0, 4])]
}

fn hidden(name: &str, way: Way, choose: Choice) -> Trial {
    let send = move |talk: &mut Talk| {
        let [real, decoy] = choose(&talk.speech);
        let requests = Requests { real: &real, decoy: &decoy, is_honest: false };
        talk.attacker.play(|line| way(line, &requests));
    };
    Trial { name: name.to_owned(), is_honest: false, is_early: false, send: Box::new(send), then: None }
}

/// A read, sent in the same way without a decoy.
fn honest(name: &str, way: Way) -> Trial {
    let send = move |talk: &mut Talk| {
        let requests = Requests { real: &talk.speech.read_on, decoy: &talk.speech.read_on, is_honest: true };
        talk.attacker.play(|line| way(line, &requests));
    };
    Trial { name: format!("{name}: honestly"), is_honest: true, is_early: false, send: Box::new(send), then: None }
}

/// Sends the messages and reads once more, which may complete a partial request. If executed, tries them behind decoys.
fn twisted(twist: Twist) -> Trial {
    let (name, twist) = (twist.name.clone(), Rc::new(twist));
    let again = twist.clone();
    let behind = Trial {
        name: format!("{name}: behind a decoy"),
        is_honest: false,
        is_early: false,
        send: Box::new(move |talk| say_all(talk, &again, true)),
        then: None,
    };
    let send = Box::new(move |talk: &mut Talk| say_all(talk, &twist, false));
    Trial { name, is_honest: false, is_early: false, send, then: Some(Box::new(behind)) }
}

fn say_all(talk: &mut Talk, twist: &Twist, is_hidden: bool) {
    for real in (twist.messages)(talk) {
        let decoy: Vec<u8> = talk.speech.decoy.iter().copied().cycle().take(real.len()).collect();
        let requests = Requests { real: &real, decoy: &decoy, is_honest: !is_hidden };
        talk.attacker
            .play(|line| if is_hidden { in_two_pieces(line, &requests, Lie::Ttl) } else { honestly(line, &requests) });
        talk.attacker.answer(SHORTLY);
    }
    let (read, _) = &talk.speech.reads[2];
    talk.attacker.play(|line| line.say(true, read));
}

fn honestly(line: &mut Line, requests: &Requests<'_>) {
    line.say(true, requests.real);
}

fn in_two_pieces(line: &mut Line, requests: &Requests<'_>, lie: Lie) {
    let decoy = line.segment(true, requests.decoy);
    line.send(&requests.lie(decoy, lie));
    let (first, second) = requests.real.split_at(requests.real.len() / 2);
    line.say(true, first);
    line.say(true, second);
}

fn one_byte(line: &mut Line, requests: &Requests<'_>, lie: Lie) {
    let place = (0..requests.real.len()).find(|at| requests.real[*at] != requests.decoy[*at]).expect("they differ");
    line.say(true, &requests.real[..place]);
    let decoy = line.segment(true, &requests.decoy[place..=place]);
    line.send(&requests.lie(decoy, lie));
    line.say(true, &requests.real[place..=place]);
    line.say(true, &requests.real[place + 1..]);
}

/// A client with mostly wrong checksums, so that the sensor may stop checking them.
fn without_checksums(line: &mut Line, requests: &Requests<'_>) {
    for _ in 0..40 {
        let decoy = line.segment(true, requests.decoy);
        line.send(&Segment { bad_tcp: true, ..decoy });
    }
    honestly(line, requests);
}

/// Longer than a server takes to respond, if it does.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);
