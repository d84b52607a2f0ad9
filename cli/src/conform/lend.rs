//! What is lent to the judge, from files and options.

use std::io::{BufReader, stderr, stdin};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onetap_apdu_spec::crypto::{CryptoError, RsaPrivate, default_provider};
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::personal::{CardOrder, EnrolmentStatement, Personalisation, Pin};
use onetap_conformance::conform::{Plan, Stop};
use onetap_conformance::judge::{Hands, Loan, PanelHands, PersonHands, RobotHands};
use onetap_conformance::target::{BadClaims, Claims, IssuerDomain, Known};
use zeroize::Zeroizing;

use crate::args::Lending;
use crate::exit::Failure;
use crate::files;
use crate::verifier;

/// Longest private key, in bytes.
const MAX_KEY: usize = 16 * 1024;
/// How the address of a panel begins.
const PANEL: &str = "http://";

pub(super) fn order_in(path: &Path) -> Result<CardOrder, Failure> {
    files::read_json(path, "a card order")
}

fn statement(path: &Path) -> Result<EnrolmentStatement, Failure> {
    files::read_json(path, "an enrolment statement")
}

/// Why a card does not answer as one, in a sentence.
pub(super) fn words(stop: Stop) -> String {
    match stop {
        Stop::Failed { step, expected, got } => format!("{step}: expected {expected}, got {got}"),
        Stop::NotApplicable(why) | Stop::NotPerformed(why) => why,
    }
}

/// All that the options name.
pub(super) fn loan(options: &Lending) -> Result<Loan, Failure> {
    let keys = Keys::named(options)?;
    let claims = claims(options, keys.as_ref())?;
    let (known, issuer) = keys.map(|keys| (keys.known, keys.issuer)).unzip();
    let pin = options.pin.as_deref().map(str::parse::<Pin>).transpose()?;
    Ok(Loan {
        claims,
        known,
        hands: options.holder.as_deref().map(holder).transpose()?,
        pin,
        issuer: issuer.flatten(),
        signatures: options.signatures,
        case_time: Duration::from_secs(options.case_seconds),
        words: again(options),
    })
}

/// What its issuer and its verifier know of the card.
struct Keys {
    known: Known,
    /// Opens the issuer's channel.
    issuer: Option<KeySet>,
    /// Its limits, where they are known.
    order: Option<Personalisation>,
}

impl Keys {
    /// From the issuer's files, or from the verifier's folder.
    fn named(options: &Lending) -> Result<Option<Self>, Failure> {
        if let (Some(folder), Some(card)) = (&options.verifier, options.card) {
            return Self::enrolled(folder, card).map(Some);
        }
        let (Some(order), Some(path)) = (&options.order, &options.statement) else { return Ok(None) };
        let (order, statement) = (order_in(order)?, statement(path)?);
        let known = known(&order, &statement, options.server_key.as_deref())?;
        Ok(Some(Self { known, issuer: order.management, order: Some(order.personalisation) }))
    }

    fn enrolled(folder: &Path, card: CardId) -> Result<Self, Failure> {
        let keys = verifier::keys::open_to_read(folder)?.keys_of_card(card)?;
        let known =
            Known::new(default_provider(), keys.binding, &keys.public_key, keys.card_key, keys.server_key);
        let known = known.map_err(|why| Failure::Usage(format!("the card's public key: {why}")))?;
        Ok(Self { known, issuer: keys.management, order: None })
    }
}

/// What to write to lend the same again. PIN and panel come from variables: who reads a report must not press keys.
fn again(options: &Lending) -> Vec<String> {
    let files = [
        ("--claims", &options.claims),
        ("--order", &options.order),
        ("--statement", &options.statement),
        ("--server-key", &options.server_key),
        ("--verifier", &options.verifier),
    ];
    let mut words = Vec::new();
    for (name, path) in files {
        words.extend(path.iter().flat_map(|path| [name.to_owned(), path.to_string_lossy().into_owned()]));
    }
    words.extend(options.card.iter().flat_map(|card| ["--card".to_owned(), card.to_string()]));
    let holder = options.holder.iter().filter(|holder| !holder.starts_with(PANEL));
    words.extend(holder.flat_map(|holder| ["--holder".to_owned(), holder.clone()]));
    words
}

/// What the specification proposes, as the order has it. A card need neither have a security domain nor show its tries.
pub(super) fn proposed(order: Option<&Personalisation>) -> Claims {
    let ours = Claims::of_our_card();
    let claims = Claims { issuer_domain: IssuerDomain::None, shows_tries: false, ..ours };
    match order {
        Some(order) => Claims {
            suites: vec![order.binding.suite],
            confirmation: order.confirmation,
            password: order.password,
            ..claims
        },
        None => claims,
    }
}

/// Claims that say otherwise than the order are refused: each failure would be theirs.
fn claims(options: &Lending, keys: Option<&Keys>) -> Result<Claims, Failure> {
    let order = keys.and_then(|keys| keys.order.as_ref());
    let suite = keys.map(|keys| keys.known.suite());
    let path = options.claims.as_deref();
    let claims = match path {
        Some(path) => files::read_json(path, "a statement of claims")?,
        None => {
            let proposed = proposed(order);
            Claims { suites: suite.map_or(proposed.suites, |suite| vec![suite]), ..proposed }
        }
    };
    let other_limits = |order: &Personalisation| {
        claims.confirmation != order.confirmation || claims.password != order.password
    };
    let bad = match suite {
        _ if claims.suites.is_empty() => Some(BadClaims::NoSuite),
        _ if claims.leave_no_room() => Some(BadClaims::NoRoom),
        Some(suite) if claims.suites != [suite] => Some(BadClaims::OtherSuite(suite)),
        _ if order.is_some_and(other_limits) => Some(BadClaims::OtherLimits),
        _ => None,
    };
    match bad {
        Some(why) => {
            let from = path.map(|path| format!("{}: ", path.display())).unwrap_or_default();
            Err(Failure::Usage(format!("{from}{why}")))
        }
        None => Ok(claims),
    }
}

/// The key that opens E has to be the one that the card encrypts for: else each E would be the card's fault.
fn opens_for(order: &Personalisation, key: &dyn RsaPrivate) -> Result<(), Failure> {
    if order.server_public_key.is_empty() || order.server_public_key == key.public_spki() {
        return Ok(());
    }
    let why = "the server's private key is not that of the order's server_public_key: lend the one that belongs to it";
    Err(Failure::Usage(why.to_owned()))
}

fn known(
    order: &CardOrder,
    statement: &EnrolmentStatement,
    server_key: Option<&Path>,
) -> Result<Known, Failure> {
    let crypto = default_provider();
    let order = &order.personalisation;
    if statement.binding != order.binding {
        return Err(Failure::Usage("the statement is another card's than the order".to_owned()));
    }
    let bad = |what: &'static str| move |why: CryptoError| Failure::Usage(format!("{what}: {why}"));
    statement.verify(crypto).map_err(bad("the card's statement"))?;
    let server_key = match server_key {
        Some(path) => {
            let bytes = Zeroizing::new(files::read_bytes(path, MAX_KEY)?);
            let key = crypto.rsa_private(&bytes).map_err(bad("the server's private key"))?;
            opens_for(order, &*key)?;
            Some(Arc::<dyn RsaPrivate>::from(key))
        }
        None => None,
    };
    Known::new(crypto, order.binding, &statement.public_key, order.card_key.clone(), server_key)
        .map_err(bad("the card's public key"))
}

/// A panel by its address, a person, or else a program.
fn holder(words: &str) -> Result<Box<dyn Hands>, Failure> {
    let bad = |why: &dyn std::fmt::Display| Failure::Usage(format!("--holder: {why}"));
    if words == "person" {
        return Ok(Box::new(PersonHands::new(BufReader::new(stdin()), stderr())));
    }
    if words.starts_with(PANEL) {
        return Ok(Box::new(PanelHands::at(words).map_err(|why| bad(&why))?));
    }
    let mut parts = words.split_whitespace().map(str::to_owned);
    let program = parts.next().ok_or_else(|| bad(&"name a program"))?;
    let arguments: Vec<_> = parts.collect();
    Ok(Box::new(RobotHands::start(&program, &arguments).map_err(|why| bad(&why))?))
}

/// Says what the run will spend, before it begins; refuses to spend more than was allowed.
pub(super) fn announce(plan: &Plan, loan: &Loan) -> Result<(), Failure> {
    if loan.hands.is_none() {
        return Ok(());
    }
    let most = plan.most_signatures(&loan.claims);
    if most > loan.signatures {
        return Err(Failure::Usage(format!(
            "this run makes up to {most} signatures on the card, and {} are allowed; allow them with --signatures {most}, or \
             select cases",
            loan.signatures
        )));
    }
    let times = &loan.claims.times;
    let minutes = (2 * times.showing_ms + 2 * times.revealed_ms).div_ceil(60_000);
    files::prompt(&format!(
        "up to {most} signatures on the card; on a clock that runs by itself, the time-outs take up to {minutes} minutes\n"
    ))
}
