//! Mutations: some blind, some that know how APDUs and templates are built, so that what is changed
//! deep inside still gets there.

use onetap_apdu_spec::apdu::{CommandApdu, Form};
use onetap_apdu_spec::command::COMMANDS;
use onetap_apdu_spec::tlv::{Tag, object, write};

use super::target::Target;
use onetap_conformance::dice::Dice;

/// Numbers at the edges of length fields and of BCD.
const EDGES: [u8; 12] = [0x00, 0x01, 0x04, 0x09, 0x10, 0x7F, 0x80, 0x81, 0x82, 0x99, 0x9F, 0xFF];
/// Longest mutant.
const MAX: usize = 2048;

/// A mutant of one of the seeds, which must not be empty.
pub(super) fn mutate(target: Target, seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).clone();
    for _ in 0..=dice.below(3) {
        let knowing = dice.below(2) == 0;
        bytes = match target {
            Target::Apdu if knowing => mutate_apdu(&bytes, dice),
            Target::Tlv if knowing => mutate_template(&bytes, dice),
            _ => {
                let other = dice.pick(seeds).clone();
                mutate_blindly(bytes, &other, dice)
            }
        };
    }
    bytes.truncate(MAX);
    bytes
}

fn mutate_blindly(mut bytes: Vec<u8>, other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(bytes.len());
    let end = (at + 1 + dice.below(8)).min(bytes.len());
    match dice.below(8) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *dice.pick(&EDGES)),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.byte()),
        3 => bytes.insert(at, dice.byte()),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        6 => bytes.truncate(at),
        _ => {
            bytes.truncate(at);
            bytes.extend(&other[dice.below(other.len())..]);
        }
    }
    bytes
}

/// Another header, other data or another Ne, in a form that holds together.
fn mutate_apdu(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let Ok(apdu) = CommandApdu::parse(bytes) else {
        return bytes.to_vec();
    };
    let row = dice.pick(COMMANDS);
    let data = match dice.below(3) {
        0 => mutate_template(apdu.data, dice),
        1 => vec![dice.byte(); dice.below(600)],
        _ => apdu.data.to_vec(),
    };
    let [hi, lo, ..] = dice.next().to_be_bytes();
    let nes = [None, Some(1), Some(255), Some(256), Some(257), Some(65_536), apdu.ne];
    let mutant = match dice.below(4) {
        0 => CommandApdu { ne: *dice.pick(&nes), ..apdu },
        1 => CommandApdu { data: &data, ..apdu },
        2 => CommandApdu { data: &data, ..row.apdu(None, &[]) },
        _ => CommandApdu { cla: apdu.cla ^ (1 << (hi % 8)), p2: lo, ..apdu },
    };
    let form = *dice.pick(&[Form::Short, Form::Extended]);
    mutant.encode(form).unwrap_or_else(|_| bytes.to_vec())
}

/// Removes, repeats, moves or rewrites one object of a template, with all lengths right again.
fn mutate_template(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let Some((outer, value, _)) = split(bytes) else {
        return bytes.to_vec();
    };
    let mut rest = value;
    let mut children = Vec::new();
    while let Some((tag, value, after)) = split(rest) {
        children.push((tag, value.to_vec()));
        rest = after;
    }
    let (a, b) = (dice.below(children.len()), dice.below(children.len()));
    match dice.below(6) {
        _ if children.is_empty() => {}
        0 => drop(children.remove(a)),
        1 => children.insert(a, children[b].clone()),
        2 => children.swap(a, b),
        3 => children[a].0 = children[b].0,
        4 => children[a].1 = (0..dice.below(40)).map(|_| dice.byte()).collect(),
        _ => {
            let value = std::mem::take(&mut children[a].1);
            children[a].1 = mutate_blindly(value, &[0x31], dice);
        }
    }
    let mut inner = Vec::new();
    for (tag, value) in &children {
        write(*tag, value, &mut inner);
    }
    object(outer, &inner)
}

/// Tag, value and what follows; forgiving, and no second parser of anything that matters.
fn split(bytes: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (tag, rest) = if first & 0x1F == 0x1F {
        let (&second, rest) = rest.split_first()?;
        (u16::from_be_bytes([first, second]), rest)
    } else {
        (u16::from(first), rest)
    };
    let (len, rest) = match *rest {
        [0x81, len, ref rest @ ..] => (usize::from(len), rest),
        [0x82, hi, lo, ref rest @ ..] => (usize::from(u16::from_be_bytes([hi, lo])), rest),
        [len, ref rest @ ..] => (usize::from(len), rest),
        [] => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((Tag(tag), value, rest))
}
