//! The terminal for C: `include/onetap.h` is made of this crate, and says what holds for callers.
//!
//! Every function goes through [`call`], which catches panics and keeps the error for the thread that made it.

mod arena;
mod input;
mod port;
mod types;

use std::ffi::c_char;

use onetap_face::error::Result;
use onetap_face::source::Transaction;
use onetap_face::till::{Outcome, Slip, TillConfig};
use onetap_face::{handle, payment, readers, source, till, trace};

use arena::{Arena, call, give};
use input::{bytes, optional_text, output, text, value};
pub use types::*;

/// The version of the library: compare it with `ONETAP_VERSION`, that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_version() -> u32 {
    onetap_face::VERSION
}

/// What happened at the last call of this thread that failed; empty before. Yours to read until the next one fails.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_cause() -> *const c_char {
    arena::last_error(|error| error.cause.as_ptr())
}

/// What to do about it.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_cure() -> *const c_char {
    arena::last_error(|error| error.cure.as_ptr())
}

/// The transaction that it is about, for `ONETAP_KIND_UNKNOWN`; else empty.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_cause_id() -> *const c_char {
    arena::last_error(|error| error.transaction.as_ptr())
}

/// How many handles are open, to find out who forgets to close them.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_count(count: *mut usize) -> Status {
    call(|| output(count, "count", handle::count()?))
}

/// Closes a till, a payment or a watch. A payment is cancelled by it; whoever waits for it, or for a watch, gets
/// `ONETAP_KIND_CLOSED`. A payment goes on when its till is closed. With a payment whose decision was told the app is done:
/// the journal forgets it.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_close(handle: Handle) -> Status {
    call(|| onetap_face::close(handle))
}

/// Names of the connected readers; none is no error.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_readers(
    timeout_ms: u32,
    names: *mut *const *const c_char,
    count: *mut usize,
) -> Status {
    call(|| {
        let found = readers::list(after(timeout_ms))?;
        give(|arena| {
            let texts = found.iter().map(|name| arena.text(name)).collect();
            let (first, len) = arena.list(texts);
            output(names, "names", first)?;
            output(count, "count", len)
        })
    })
}

/// Starts watching readers and cards. What is there already is told first.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_watch(watch: *mut Handle) -> Status {
    call(|| {
        input::not_null(watch, "watch")?;
        output(watch, "watch", readers::watch()?)
    })
}

/// Waits for what happens next at a watch, so long.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_watch_next(watch: Handle, timeout_ms: u32, seen: *mut *const Seen) -> Status {
    call(|| {
        input::not_null(seen, "seen")?;
        let next = readers::watch_next(watch, after(timeout_ms))?;
        give(|arena| {
            let (reader, (atr, atr_len)) = (arena.text(&next.reader), arena.list(next.atr));
            let made = arena.keep(Seen { change: next.change, reader, atr, atr_len });
            output(seen, "seen", made)
        })
    })
}

/// Opens a till. It connects with the first payment.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_till(config: *const Config, till: *mut Handle) -> Status {
    call(|| {
        input::not_null(till, "till")?;
        output(till, "till", till::till(made(&input::config(config)?)?)?)
    })
}

fn made(config: &Config) -> Result<TillConfig> {
    let owned = |pointer, name| -> Result<_> { Ok(optional_text(pointer, name)?.map(str::to_owned)) };
    let pem = |pointer, name| -> Result<_> { Ok(owned(pointer, name)?.map(String::into_bytes)) };
    // First, so that a port that is whole is released whatever else is wrong.
    let port = port::made(config.port)?;
    Ok(TillConfig {
        terminal: text(config.terminal, "terminal")?.to_owned(),
        server: text(config.server, "server")?.to_owned(),
        ca: pem(config.ca, "ca")?,
        token: owned(config.token, "token")?,
        certificate: pem(config.certificate, "certificate")?,
        key: pem(config.key, "key")?,
        journal: owned(config.journal, "journal")?,
        reader: owned(config.reader, "reader")?,
        port,
        limits: config.limits.into(),
        trace: owned(config.trace, "trace")?,
        strict: config.strict,
        record: owned(config.record, "record")?,
    })
}

/// The attempts of the till's journal: those whose end is not known, and those whose end the app was not told or not done
/// with. Ask when the program starts, and by a button.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_attempts(till: Handle, attempts: *mut *const Attempt, count: *mut usize) -> Status {
    call(|| {
        let found = till::attempts(till)?;
        give(|arena| {
            let made = found.iter().map(|it| attempt(arena, it)).collect();
            let (first, len) = arena.list(made);
            output(attempts, "attempts", first)?;
            output(count, "count", len)
        })
    })
}

/// The app is done with an attempt, such as by having it in its own books: the journal forgets it. Closing a payment whose
/// decision was told does the same.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_forget(till: Handle, id: *const c_char) -> Status {
    call(|| till::forget(till, text(id, "id")?))
}

/// Learns the final state of an attempt, or makes it: executed, or cancelled for good. Asking again is always safe.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_resolve(
    till: Handle,
    id: *const c_char,
    timeout_ms: u32,
    outcome: *mut *const OutcomeOfC,
) -> Status {
    call(|| {
        input::not_null(outcome, "outcome")?;
        let ended = till::resolve(till, text(id, "id")?, after(timeout_ms))?;
        give(|arena| output(outcome, "outcome", self::outcome(arena, &ended)))
    })
}

/// Checks every field, and gives the transaction as it will be signed.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_check(
    transaction: *const TransactionOfC,
    checked: *mut *const TransactionOfC,
) -> Status {
    call(|| give_transaction(checked, &source::check(given(transaction)?)?))
}

/// Reads a transaction in JSON (docs/spec/transaction.schema.json).
#[unsafe(no_mangle)]
pub extern "C" fn onetap_json(
    json: *const u8,
    len: usize,
    transaction: *mut *const TransactionOfC,
) -> Status {
    call(|| give_transaction(transaction, &source::json(bytes(json, len, "json")?)?))
}

/// Reads what a scanner gives: the content of an EPC or EMVCo code, or a picture of one in PNG or JPEG. `amount` and
/// `tip` are what the payer says where the code leaves it to him, or NULL; `ONETAP_KIND_AMOUNT_MISSING` if he has to.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_scan(
    content: *const u8,
    len: usize,
    amount: *const c_char,
    tip: *const c_char,
    transaction: *mut *const TransactionOfC,
) -> Status {
    call(|| {
        let (amount, tip) = (optional_text(amount, "amount")?, optional_text(tip, "tip")?);
        give_transaction(transaction, &source::scan(bytes(content, len, "content")?, amount, tip)?)
    })
}

/// Fetches a transaction in JSON from a URL, within ten seconds. `ca` is trusted for the host's certificate, in PEM; NULL
/// for those that the system trusts.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_fetch(
    url: *const c_char,
    ca: *const c_char,
    transaction: *mut *const TransactionOfC,
) -> Status {
    call(|| {
        let (url, ca) = (text(url, "url")?, optional_text(ca, "ca")?);
        give_transaction(transaction, &source::fetch(url, ca.map(str::as_bytes))?)
    })
}

/// Starts a payment, which runs on a thread of its own. `key` makes repetitions one payment: an app that keeps books gives
/// its own, never used before; with NULL one is drawn. `ONETAP_KIND_BUSY` while the till is in another payment.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_pay(
    till: Handle,
    transaction: *const TransactionOfC,
    key: *const c_char,
    payment: *mut Handle,
) -> Status {
    call(|| {
        input::not_null(payment, "payment")?;
        let (transaction, key) = (given(transaction)?, optional_text(key, "key")?);
        output(payment, "payment", payment::start(till, transaction, key)?)
    })
}

/// Waits for what happens next in a payment, so long. When it ends by a decision, that is an event; when it comes to
/// none, this fails and says why. Only `ONETAP_KIND_UNKNOWN` leaves open whether money moved. After the end it tells the end
/// again, however often it is asked.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_next(payment: Handle, timeout_ms: u32, event: *mut *const Event) -> Status {
    call(|| {
        input::not_null(event, "event")?;
        let next = payment::next(payment, after(timeout_ms))?;
        give(|arena| {
            let made = Event {
                what: next.what,
                step: next.step,
                left_ms: millis(next.left),
                reader: arena.text(&next.reader),
                cause: arena.text(&next.cause),
                cure: arena.text(&next.cure),
                id: arena.text(&next.id),
                transaction: next.transaction.map_or(std::ptr::null(), |it| transaction_of(arena, &it)),
                outcome: next.outcome.map_or(std::ptr::null(), |it| outcome(arena, &it)),
            };
            let made = arena.keep(made);
            output(event, "event", made)
        })
    })
}

/// Hands over what the holder typed on the terminal's keyboard. `taken` is false if the payment does not wait for it.
/// `ONETAP_KIND_ARGUMENT` if it cannot be a joint password: ask the holder again. Nothing but what a person typed belongs
/// here: it says that the holder has seen what is paid.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_type_in(payment: Handle, typed: *const c_char, taken: *mut bool) -> Status {
    call(|| {
        input::not_null(taken, "taken")?;
        output(taken, "taken", payment::type_in(payment, text(typed, "typed")?)?)
    })
}

/// Ends the payment at whatever step it is, within a tenth of a second. Once the request is on its way, it ends with
/// `ONETAP_KIND_UNKNOWN`.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_cancel(payment: Handle) -> Status {
    call(|| payment::cancel(payment))
}

/// A trace in words, a line for each event.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_trace_show(trace: *const c_char, shown: *mut *const c_char) -> Status {
    call(|| {
        let made = trace::show(text(trace, "trace")?)?;
        give(|arena| output(shown, "shown", arena.text(&made)))
    })
}

/// A trace as another program reads it. `format` is one of those of `onetap trace export`, such as `pcap`.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_trace_export(
    format: *const c_char,
    trace: *const c_char,
    written: *mut *const u8,
    len: *mut usize,
) -> Status {
    call(|| {
        let made = trace::export(text(format, "format")?, text(trace, "trace")?)?;
        give(|arena| {
            let (first, count) = arena.list(made);
            output(written, "written", first)?;
            output(len, "len", count)
        })
    })
}

/// A trace made of another program's log. `format` is one of those of `onetap trace import`, such as `apdu4j`. Secrets are
/// left out.
#[unsafe(no_mangle)]
pub extern "C" fn onetap_trace_import(
    format: *const c_char,
    log: *const u8,
    len: usize,
    description: *const c_char,
    trace: *mut *const c_char,
) -> Status {
    call(|| {
        let (format, description) = (text(format, "format")?, text(description, "description")?);
        let made = trace::import(format, bytes(log, len, "log")?, description)?;
        give(|arena| output(trace, "trace", arena.text(&made)))
    })
}

fn given(transaction: *const TransactionOfC) -> Result<Transaction> {
    let given = value(transaction, "transaction")?;
    Ok(Transaction {
        top_up: given.top_up,
        payee_account: text(given.payee_account, "payee_account")?.to_owned(),
        payee_name: text(given.payee_name, "payee_name")?.to_owned(),
        amount: text(given.amount, "amount")?.to_owned(),
        currency: text(given.currency, "currency")?.to_owned(),
        reference: text(given.reference, "reference")?.to_owned(),
        details: optional_text(given.details, "details")?.unwrap_or_default().to_owned(),
    })
}

fn give_transaction(to: *mut *const TransactionOfC, transaction: &Transaction) -> Result<()> {
    give(|arena| output(to, "transaction", transaction_of(arena, transaction)))
}

fn transaction_of(arena: &mut Arena, of: &Transaction) -> *const TransactionOfC {
    let made = TransactionOfC {
        top_up: of.top_up,
        payee_account: arena.text(&of.payee_account),
        payee_name: arena.text(&of.payee_name),
        amount: arena.text(&of.amount),
        currency: arena.text(&of.currency),
        reference: arena.text(&of.reference),
        details: arena.text(&of.details),
    };
    arena.keep(made)
}

fn outcome(arena: &mut Arena, of: &Outcome) -> *const OutcomeOfC {
    let receipt = of.receipt.as_ref().map_or(std::ptr::null(), |slip| receipt(arena, slip));
    let made = OutcomeOfC { result: of.result, id: arena.text(&of.transaction), receipt };
    arena.keep(made)
}

fn receipt(arena: &mut Arena, of: &Slip) -> *const Receipt {
    let made = Receipt {
        top_up: of.top_up,
        minor: of.minor,
        currency: arena.text(&of.currency),
        payee_account: arena.text(&of.payee_account),
        payee_name: arena.text(&of.payee_name),
        reference: arena.text(&of.reference),
        executed_at: arena.text(&of.executed_at),
        accepted_for: arena.text(&of.accepted_for),
    };
    arena.keep(made)
}

fn attempt(arena: &mut Arena, of: &till::Attempt) -> Attempt {
    let transaction = of.transaction.as_ref().map_or(std::ptr::null(), |it| transaction_of(arena, it));
    let ended = of.outcome.as_ref().map_or(std::ptr::null(), |it| outcome(arena, it));
    Attempt { id: arena.text(&of.id), begun: arena.text(&of.begun), transaction, outcome: ended }
}
