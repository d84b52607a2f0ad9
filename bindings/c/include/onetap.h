/**
 * @file onetap.h
 * A terminal of OneTap, for C: a till pays with cards at a server, and tells what happens. docs/languages.md is the way
 * in, bindings/c/examples/terminal.c a terminal in one page.
 *
 * Errors. Almost every function returns `ONETAP_OK` or the kind of an error (`onetap_kind`). onetap_cause() and
 * onetap_cure() then say what happened and what to do, in words for people. What a function gives through its last
 * arguments is given only with `ONETAP_OK`. NULL where something is needed, text that is not UTF-8, a handle that was
 * closed: each is an error, and nothing else happens.
 *
 * Texts and structs that the library gives are the library's: read them until the next call of the same thread that gives
 * something. There is nothing to free; what was opened is closed with onetap_close(). Texts that you give are in UTF-8,
 * end with a zero, and are yours again when the call returns.
 *
 * Threads. Every function may be called from any thread. onetap_next() and onetap_watch_next() of one handle are for one
 * thread at a time; a second one gets `ONETAP_KIND_BUSY`. Errors, texts and structs belong to the thread that called.
 *
 * fork(). The library belongs to the process that called it first. In one that was forked off afterwards every call gets
 * `ONETAP_KIND_FORKED` and touches nothing; after exec() all is new.
 *
 * Signals, longjmp, exceptions. Do not call it in a signal handler, and do not leave a function of a port by longjmp() or
 * by an exception. Nothing of the library's unwinds into the caller.
 */

#ifndef ONETAP_H
#define ONETAP_H

/* Made of bindings/c/src by `make docs`; never edited. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of this interface. A program and a library of the same number fit each other.
 */
#define ONETAP_VERSION 1

/**
 * It went well.
 */
#define ONETAP_OK 0

/**
 * As a timeout: for ever.
 */
#define ONETAP_FOREVER UINT32_MAX

/**
 * What a function of a port returns when the card has left: it may be tapped again.
 */
#define ONETAP_PORT_CARD_LEFT -1

/**
 * What it returns when the app's code failed, which ends the payment with `ONETAP_KIND_CALLBACK`.
 */
#define ONETAP_PORT_FAILED -2

/**
 * Most bytes of an answer to reset.
 */
#define ONETAP_PORT_ATR_ROOM 33

/**
 * Most bytes of a response.
 */
#define ONETAP_PORT_RESPONSE_ROOM 65538

/**
 * What a watch tells.
 */
enum onetap_change
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing happened in the time that was given.
   */
  ONETAP_CHANGE_NOTHING = 0,
  /**
   * The PC/SC service answers, or answers again.
   */
  ONETAP_CHANGE_SERVICE_UP = 1,
  /**
   * The PC/SC service is gone, and all readers with it.
   */
  ONETAP_CHANGE_SERVICE_DOWN = 2,
  /**
   * A reader was plugged in, or was there from the start.
   */
  ONETAP_CHANGE_READER_ADDED = 3,
  /**
   * A reader was unplugged.
   */
  ONETAP_CHANGE_READER_REMOVED = 4,
  /**
   * A card came.
   */
  ONETAP_CHANGE_CARD_INSERTED = 5,
  /**
   * A card left.
   */
  ONETAP_CHANGE_CARD_REMOVED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum onetap_change onetap_change;
#else
typedef int32_t onetap_change;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What became of a transaction.
 */
enum onetap_end
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Executed, once.
   */
  ONETAP_END_EXECUTED = 1,
  /**
   * Not executed. Which of signature, password, counter, payee, date or lock was wrong is not told.
   */
  ONETAP_END_REFUSED = 2,
  /**
   * Not executed: the balance is too small.
   */
  ONETAP_END_INSUFFICIENT_FUNDS = 3,
  /**
   * Not executed: the amount is over a limit.
   */
  ONETAP_END_LIMIT_EXCEEDED = 4,
  /**
   * Not executed, and never will be. Only resolving gives this.
   */
  ONETAP_END_CANCELLED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum onetap_end onetap_end;
#else
typedef int32_t onetap_end;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event tells.
 */
enum onetap_what
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing happened in the time that was given.
   */
  ONETAP_WHAT_NOTHING = 0,
  /**
   * A step began.
   */
  ONETAP_WHAT_BEGAN = 1,
  /**
   * A card lies in a reader, and is asked to sign.
   */
  ONETAP_WHAT_CARD_FOUND = 2,
  /**
   * The card left or failed, and has to be tapped again.
   */
  ONETAP_WHAT_TAP_AGAIN = 3,
  /**
   * The card has signed; nothing was sent yet.
   */
  ONETAP_WHAT_SIGNED = 4,
  /**
   * The request will be repeated.
   */
  ONETAP_WHAT_RETRYING = 5,
  /**
   * The server has decided; nothing follows.
   */
  ONETAP_WHAT_ENDED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum onetap_what onetap_what;
#else
typedef int32_t onetap_what;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a payment is doing.
 */
enum onetap_step
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * No step.
   */
  ONETAP_STEP_NONE = 0,
  /**
   * Asks the server whether a payment can be made.
   */
  ONETAP_STEP_CHECK = 1,
  /**
   * Waits for a card, which signs.
   */
  ONETAP_STEP_TAP = 2,
  /**
   * Waits for the card to leave: only then its display shows what it signed.
   */
  ONETAP_STEP_REMOVAL = 3,
  /**
   * Waits for what the holder types.
   */
  ONETAP_STEP_HOLDER = 4,
  /**
   * Waits for the server's decision.
   */
  ONETAP_STEP_SENDING = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum onetap_step onetap_step;
#else
typedef int32_t onetap_step;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a program can tell errors apart by. The numbers and the words stay as they are; kinds may be added.
 */
enum onetap_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A value that the caller gave is wrong.
   */
  ONETAP_KIND_ARGUMENT = 1,
  /**
   * The handle was closed.
   */
  ONETAP_KIND_CLOSED = 2,
  /**
   * Another thread, or another payment, has it at the moment.
   */
  ONETAP_KIND_BUSY = 3,
  /**
   * The library was used before this process was forked off.
   */
  ONETAP_KIND_FORKED = 4,
  /**
   * A function of the app's own failed.
   */
  ONETAP_KIND_CALLBACK = 5,
  /**
   * A mistake in this library.
   */
  ONETAP_KIND_INTERNAL = 6,
  /**
   * The system gives no thread or memory.
   */
  ONETAP_KIND_SYSTEM = 7,
  /**
   * The PC/SC service does not run, does not answer, or refuses this program.
   */
  ONETAP_KIND_SERVICE = 10,
  /**
   * There is no reader, not that reader, or none that works.
   */
  ONETAP_KIND_READER = 11,
  /**
   * The card is not there, refuses, or is none of ours.
   */
  ONETAP_KIND_CARD = 12,
  /**
   * The time was up.
   */
  ONETAP_KIND_TIMEOUT = 13,
  /**
   * It was cancelled.
   */
  ONETAP_KIND_CANCELLED = 14,
  /**
   * The transaction, or what it was to be read from, is wrong.
   */
  ONETAP_KIND_TRANSACTION = 20,
  /**
   * The code leaves the amount to the payer.
   */
  ONETAP_KIND_AMOUNT_MISSING = 21,
  /**
   * The trace or log cannot be read or written, or a till did what the trace that it plays does not have.
   */
  ONETAP_KIND_TRACE = 22,
  /**
   * The journal cannot be written or read.
   */
  ONETAP_KIND_JOURNAL = 30,
  /**
   * The server cannot be reached, is not trusted, or does not answer as it should. Nothing was executed.
   */
  ONETAP_KIND_SERVER = 31,
  /**
   * The server does not take payments of this terminal, or not by this clock.
   */
  ONETAP_KIND_NOT_READY = 32,
  /**
   * Whether the transaction was executed is not known: it has to be resolved.
   */
  ONETAP_KIND_UNKNOWN = 33,
  /**
   * The final state is not certain yet: resolve it later.
   */
  ONETAP_KIND_NOT_YET = 34,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum onetap_kind onetap_kind;
#else
typedef int32_t onetap_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * `ONETAP_OK`, or an `onetap_kind`.
 */
typedef int32_t onetap_status;

/**
 * Stands for a till, a payment or a watch. None is 0, and none is ever given twice.
 */
typedef uint64_t onetap_handle;

/**
 * What happened at a reader.
 */
typedef struct {
  /**
   * What.
   */
  onetap_change change;
  /**
   * The reader's name; empty where there is none.
   */
  const char *reader;
  /**
   * The answer to reset of a card that came.
   */
  const uint8_t *atr;
  /**
   * Its length.
   */
  size_t atr_len;
} onetap_seen;

/**
 * A reader of the app's own, such as a phone's NFC. Its functions are called on threads of the library, one at a time.
 * They should return within a second, since a payment that is cancelled waits for them. They must not throw, and must
 * not leave by `longjmp`. The struct is copied; `context` is yours, and lasts until `release` is called.
 */
typedef struct {
  /**
   * `sizeof(onetap_port)`.
   */
  size_t size;
  /**
   * Handed to each function.
   */
  void *context;
  /**
   * Waits at most `wait_ms` for a card: 1 while one is there, 0 if none is.
   */
  int (*present)(void *context, uint32_t wait_ms);
  /**
   * Begins a contact. Writes the answer to reset, `ONETAP_PORT_ATR_ROOM` bytes at most, and returns its length; 0 where
   * there is none, as with many phones: then commands are short.
   */
  int (*connect)(void *context, uint8_t *atr);
  /**
   * Sends one command APDU. Writes the response APDU, `ONETAP_PORT_RESPONSE_ROOM` bytes at most, and returns its length.
   */
  int (*transmit)(void *context, const uint8_t *command, size_t command_len, uint8_t *response);
  /**
   * Ends the contact; with `power_off` the card has to lose its power. Returns 0.
   */
  int (*disconnect)(void *context, bool power_off);
  /**
   * The library needs `context` no more; or NULL. Called once for each port that is whole: after the till was closed and
   * its payment has ended, on whichever thread was last, or before `onetap_till` returns if it fails.
   */
  void (*release)(void *context);
} onetap_port;

/**
 * How long each step of a payment may take, in milliseconds; 0 stands for the default.
 */
typedef struct {
  /**
   * For the server to say that a payment can be made (5 seconds).
   */
  uint32_t check_ms;
  /**
   * For a card to come and to sign (60 seconds).
   */
  uint32_t tap_ms;
  /**
   * For the card to be taken away (30 seconds).
   */
  uint32_t removal_ms;
  /**
   * For the holder to read, confirm and type (5 minutes).
   */
  uint32_t holder_ms;
  /**
   * For the server to decide (60 seconds).
   */
  uint32_t sending_ms;
} onetap_limits;

/**
 * What a till is made of. Set it to zero, then `size`, then what is needed.
 */
typedef struct {
  /**
   * `sizeof(onetap_config)`, so that programs that were compiled with an older header go on working.
   */
  size_t size;
  /**
   * The terminal's id, which the bank's operator gave.
   */
  const char *terminal;
  /**
   * The server, such as `https://bank.example:8443`.
   */
  const char *server;
  /**
   * The authority that vouches for the server, in PEM; NULL for those that the system trusts.
   */
  const char *ca;
  /**
   * The token that the server's operator made for this terminal, or NULL.
   */
  const char *token;
  /**
   * A certificate in the token's place, in PEM, or NULL.
   */
  const char *certificate;
  /**
   * Its private key, in PEM, or NULL.
   */
  const char *key;
  /**
   * The folder that attempts are kept in; NULL keeps them in memory, from where they are lost with the process.
   */
  const char *journal;
  /**
   * Takes cards in this reader of the system only, or NULL for any.
   */
  const char *reader;
  /**
   * A reader of the app's own, or NULL.
   */
  const onetap_port *port;
  /**
   * How long each step may take.
   */
  onetap_limits limits;
  /**
   * Plays this trace in the place of a card and a reader, or NULL. What it does not have ends the payment with
   * `ONETAP_KIND_TRACE`; the cause shows the difference.
   */
  const char *trace;
  /**
   * Whether the trace takes each command once, in its own order and just as it was. If not, it takes them in any order and
   * as often as wanted, with whatever a terminal makes anew for each transaction.
   */
  bool strict;
  /**
   * Records what passes between terminal and cards as a trace, into this file, which must not be there yet, or NULL.
   * Secrets are left out. A disk that is full ends the recording, and no payment.
   */
  const char *record;
} onetap_config;

/**
 * What is to be paid.
 */
typedef struct {
  /**
   * Puts money on the card's own stored value instead of paying.
   */
  bool top_up;
  /**
   * IBAN, or digits ending in their Luhn check digit.
   */
  const char *payee_account;
  /**
   * Whom the card names to its holder.
   */
  const char *payee_name;
  /**
   * In major units, such as `12.34`.
   */
  const char *amount;
  /**
   * ISO 4217, such as `EUR`.
   */
  const char *currency;
  /**
   * The payee's reference.
   */
  const char *reference;
  /**
   * More for the holder to read, or NULL.
   */
  const char *details;
} onetap_transaction;

/**
 * A receipt.
 */
typedef struct {
  /**
   * Money was put on the card's own stored value.
   */
  bool top_up;
  /**
   * Amount in minor units of the currency.
   */
  uint64_t minor;
  /**
   * ISO 4217.
   */
  const char *currency;
  /**
   * The payee's account.
   */
  const char *payee_account;
  /**
   * The payee's name.
   */
  const char *payee_name;
  /**
   * The payee's reference.
   */
  const char *reference;
  /**
   * Moment of execution by the server's clock, as `2026-07-01T12:00:00Z`.
   */
  const char *executed_at;
  /**
   * The other system that has yet to book it; empty if it is booked.
   */
  const char *accepted_for;
} onetap_receipt;

/**
 * How a payment ended.
 */
typedef struct {
  /**
   * In a word.
   */
  onetap_end result;
  /**
   * The transaction's id at the server.
   */
  const char *id;
  /**
   * What was executed; NULL if nothing was.
   */
  const onetap_receipt *receipt;
} onetap_outcome;

/**
 * A payment that was sent, and that the app is not done with.
 */
typedef struct {
  /**
   * The transaction's id, by which it is resolved and forgotten.
   */
  const char *id;
  /**
   * When it was begun, by the terminal's clock; when it was written, if it cannot be read any more.
   */
  const char *begun;
  /**
   * What was to be paid; NULL if it cannot be read any more.
   */
  const onetap_transaction *transaction;
  /**
   * How it ended; NULL if that is not known.
   */
  const onetap_outcome *outcome;
} onetap_attempt;

/**
 * What happened in a payment. What does not belong to an event is 0, empty or NULL.
 */
typedef struct {
  /**
   * What.
   */
  onetap_what what;
  /**
   * The step that began.
   */
  onetap_step step;
  /**
   * Milliseconds left: of the step that began, to tap again, or to repeat.
   */
  uint32_t left_ms;
  /**
   * The reader that a card was found in.
   */
  const char *reader;
  /**
   * Why to tap again, or why to repeat.
   */
  const char *cause;
  /**
   * What to do about it.
   */
  const char *cure;
  /**
   * The id that the signed transaction has, or will have, at the server.
   */
  const char *id;
  /**
   * What the card signed, and shows to its holder.
   */
  const onetap_transaction *transaction;
  /**
   * How it ended.
   */
  const onetap_outcome *outcome;
} onetap_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library: compare it with `ONETAP_VERSION`, that of the header.
 */
uint32_t onetap_version(void);

/**
 * What happened at the last call of this thread that failed; empty before. Yours to read until the next one fails.
 */
const char *onetap_cause(void);

/**
 * What to do about it.
 */
const char *onetap_cure(void);

/**
 * The transaction that it is about, for `ONETAP_KIND_UNKNOWN`; else empty.
 */
const char *onetap_cause_id(void);

/**
 * How many handles are open, to find out who forgets to close them.
 */
onetap_status onetap_count(size_t *count);

/**
 * Closes a till, a payment or a watch. A payment is cancelled by it; whoever waits for it, or for a watch, gets
 * `ONETAP_KIND_CLOSED`. A payment goes on when its till is closed. With a payment whose decision was told the app is done:
 * the journal forgets it.
 */
onetap_status onetap_close(onetap_handle handle);

/**
 * Names of the connected readers; none is no error.
 */
onetap_status onetap_readers(uint32_t timeout_ms, const char *const **names, size_t *count);

/**
 * Starts watching readers and cards. What is there already is told first.
 */
onetap_status onetap_watch(onetap_handle *watch);

/**
 * Waits for what happens next at a watch, so long.
 */
onetap_status onetap_watch_next(onetap_handle watch, uint32_t timeout_ms, const onetap_seen **seen);

/**
 * Opens a till. It connects with the first payment.
 */
onetap_status onetap_till(const onetap_config *config, onetap_handle *till);

/**
 * The attempts of the till's journal: those whose end is not known, and those whose end the app was not told or not done
 * with. Ask when the program starts, and by a button.
 */
onetap_status onetap_attempts(onetap_handle till,
                              const onetap_attempt **attempts,
                              size_t *count);

/**
 * The app is done with an attempt, such as by having it in its own books: the journal forgets it. Closing a payment whose
 * decision was told does the same.
 */
onetap_status onetap_forget(onetap_handle till,
                            const char *id);

/**
 * Learns the final state of an attempt, or makes it: executed, or cancelled for good. Asking again is always safe.
 */
onetap_status onetap_resolve(onetap_handle till, const char *id, uint32_t timeout_ms, const onetap_outcome **outcome);

/**
 * Checks every field, and gives the transaction as it will be signed.
 */
onetap_status onetap_check(const onetap_transaction *transaction, const onetap_transaction **checked);

/**
 * Reads a transaction in JSON (docs/spec/transaction.schema.json).
 */
onetap_status onetap_json(const uint8_t *json, size_t len, const onetap_transaction **transaction);

/**
 * Reads what a scanner gives: the content of an EPC or EMVCo code, or a picture of one in PNG or JPEG. `amount` and
 * `tip` are what the payer says where the code leaves it to him, or NULL; `ONETAP_KIND_AMOUNT_MISSING` if he has to.
 */
onetap_status onetap_scan(const uint8_t *content,
                          size_t len,
                          const char *amount,
                          const char *tip,
                          const onetap_transaction **transaction);

/**
 * Fetches a transaction in JSON from a URL, within ten seconds. `ca` is trusted for the host's certificate, in PEM; NULL
 * for those that the system trusts.
 */
onetap_status onetap_fetch(const char *url,
                           const char *ca,
                           const onetap_transaction **transaction);

/**
 * Starts a payment, which runs on a thread of its own. `key` makes repetitions one payment: an app that keeps books gives
 * its own, never used before; with NULL one is drawn. `ONETAP_KIND_BUSY` while the till is in another payment.
 */
onetap_status onetap_pay(onetap_handle till,
                         const onetap_transaction *transaction,
                         const char *key,
                         onetap_handle *payment);

/**
 * Waits for what happens next in a payment, so long. When it ends by a decision, that is an event; when it comes to
 * none, this fails and says why. Only `ONETAP_KIND_UNKNOWN` leaves open whether money moved. After the end it tells the end
 * again, however often it is asked.
 */
onetap_status onetap_next(onetap_handle payment,
                          uint32_t timeout_ms,
                          const onetap_event **event);

/**
 * Hands over what the holder typed on the terminal's keyboard. `taken` is false if the payment does not wait for it.
 * `ONETAP_KIND_ARGUMENT` if it cannot be a joint password: ask the holder again. Nothing but what a person typed belongs
 * here: it says that the holder has seen what is paid.
 */
onetap_status onetap_type_in(onetap_handle payment,
                             const char *typed,
                             bool *taken);

/**
 * Ends the payment at whatever step it is, within a tenth of a second. Once the request is on its way, it ends with
 * `ONETAP_KIND_UNKNOWN`.
 */
onetap_status onetap_cancel(onetap_handle payment);

/**
 * A trace in words, a line for each event.
 */
onetap_status onetap_trace_show(const char *trace, const char **shown);

/**
 * A trace as another program reads it. `format` is one of those of `onetap trace export`, such as `pcap`.
 */
onetap_status onetap_trace_export(const char *format, const char *trace, const uint8_t **written, size_t *len);

/**
 * A trace made of another program's log. `format` is one of those of `onetap trace import`, such as `apdu4j`. Secrets are
 * left out.
 */
onetap_status onetap_trace_import(const char *format,
                                  const uint8_t *log,
                                  size_t len,
                                  const char *description,
                                  const char **trace);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ONETAP_H */
