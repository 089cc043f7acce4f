//! What is tried: each evasion of the generator, and each request that no specification allows.

use std::time::Duration;

use crate::evasion::attacks::{ATTACKS, LIES, Lie, Requests};
use crate::evasion::wire::{Line, Segment};
use crate::servers::Stack;
use crate::talk::Talk;
use crate::twists::{Twist, twists};

/// Something that is sent to a server in a conversation of its own.
pub(crate) struct Trial {
    pub name: String,
    /// Nobody lies, and nothing is asked for but what is permitted.
    pub is_honest: bool,
    /// Data in the SYN, which a server ignores.
    pub is_early: bool,
    pub send: Box<dyn Fn(&mut Talk)>,
}

type Sent = Box<dyn Fn(&mut Line, &Requests<'_>)>;

/// Everything that is tried with a stack.
pub(crate) fn trials(stack: &Stack) -> Vec<Trial> {
    let mut trials = vec![early()];
    for attack in ATTACKS {
        if attack.has_twin {
            trials.push(honest(attack.name, Box::new(attack.send)));
        }
        trials.push(hidden(attack.name, Box::new(attack.send)));
    }
    for lie in LIES {
        let name = format!("a decoy ({lie:?}), then the real one in two pieces");
        trials.push(honest(&name, Box::new(move |line, requests| in_two_pieces(line, requests, lie))));
        trials.push(hidden(&name, Box::new(move |line, requests| in_two_pieces(line, requests, lie))));
        let name = format!("one byte that differs, first as a decoy ({lie:?})");
        trials.push(hidden(&name, Box::new(move |line, requests| one_byte(line, requests, lie))));
    }
    trials.push(hidden("wrong checksums before, and a decoy with one", Box::new(without_checksums)));
    trials.extend(twists(stack.protocol).into_iter().map(twisted));
    trials
}

/// The write, sent in a way that hides it.
fn hidden(name: &str, send: Sent) -> Trial {
    let send = move |talk: &mut Talk| {
        let Talk { attacker, speech, .. } = talk;
        let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
        attacker.play(|line| send(line, &requests));
    };
    Trial { name: name.to_owned(), is_honest: false, is_early: false, send: Box::new(send) }
}

/// A read, sent in the same way without lying.
fn honest(name: &str, send: Sent) -> Trial {
    let send = move |talk: &mut Talk| {
        let Talk { attacker, speech, .. } = talk;
        let requests = Requests { real: &speech.read_on, decoy: &speech.read_on, is_honest: true };
        attacker.play(|line| send(line, &requests));
    };
    Trial { name: format!("{name}: honestly"), is_honest: true, is_early: false, send: Box::new(send) }
}

fn early() -> Trial {
    let honestly = |line: &mut Line, requests: &Requests<'_>| line.say(true, requests.real);
    Trial { is_early: true, ..hidden("a decoy in the SYN, then the real one", Box::new(honestly)) }
}

/// Says them, and reads once more: what the server still waits for may come with it.
fn twisted(twist: Twist) -> Trial {
    let send = move |talk: &mut Talk| {
        for message in (twist.messages)(talk) {
            talk.attacker.play(|line| line.say(true, &message));
            talk.attacker.answer(SHORTLY);
        }
        let (read, _) = &talk.speech.reads[2];
        talk.attacker.play(|line| line.say(true, read));
    };
    Trial { name: twist.name, is_honest: false, is_early: false, send: Box::new(send) }
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
    line.say(true, requests.real);
}

/// Longer than a server needs for an answer, where it gives one.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);
