//! What is tried: each evasion of the generator, and each request that no specification allows.

use std::rc::Rc;
use std::time::Duration;

use crate::evasion::attacks::{ATTACKS, LIES, Lie, Requests};
use crate::evasion::speech::{Speech, s7_item, s7_pdu};
use crate::evasion::wire::{Line, Segment};
use crate::servers::Stack;
use crate::talk::Talk;
use crate::twists::{Twist, s7_stop, twists};

/// Something that is sent to a server in a conversation of its own.
pub(crate) struct Trial {
    pub name: String,
    /// Nobody lies, and nothing is asked for but what is permitted.
    pub is_honest: bool,
    /// There is data in the SYN, which a server ignores.
    pub is_early: bool,
    pub send: Box<dyn Fn(&mut Talk)>,
    /// What else is tried if the server executes it.
    pub then: Option<Box<Self>>,
}

/// A way to send requests.
type Way = Rc<dyn Fn(&mut Line, &Requests<'_>)>;
/// What the server is to execute, and what the sensor is meant to see.
type Choice = fn(&Speech) -> [Vec<u8>; 2];

/// Everything that is tried with a stack.
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

/// Those of the generator, and every way to make a decoy; whether they can be sent without lying.
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

/// PLC stop, and a read that is as long.
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

/// A read, sent in the same way without lying.
fn honest(name: &str, way: Way) -> Trial {
    let send = move |talk: &mut Talk| {
        let requests = Requests { real: &talk.speech.read_on, decoy: &talk.speech.read_on, is_honest: true };
        talk.attacker.play(|line| way(line, &requests));
    };
    Trial { name: format!("{name}: honestly"), is_honest: true, is_early: false, send: Box::new(send), then: None }
}

/// Says them, and reads once more: what the server still waits for may come with it. If it is executed, the same behind decoys.
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

/// A client whose checksums are mostly wrong, so that the sensor may give up believing in them.
fn without_checksums(line: &mut Line, requests: &Requests<'_>) {
    for _ in 0..40 {
        let decoy = line.segment(true, requests.decoy);
        line.send(&Segment { bad_tcp: true, ..decoy });
    }
    honestly(line, requests);
}

/// Longer than a server needs for an answer, where it gives one.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);
