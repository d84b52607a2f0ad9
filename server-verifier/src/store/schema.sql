-- Schema version 1. Every table that grows is keyed by account first, so that one account is one shard.
-- Moments are seconds since 1970, amounts minor units. docs/data-model.md explains each table.

CREATE TABLE server (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    server_id TEXT NOT NULL,
    operator  TEXT NOT NULL,
    policy    TEXT NOT NULL
) STRICT;

CREATE TABLE terminals (
    terminal_id   TEXT PRIMARY KEY,
    registered_at INTEGER NOT NULL
) STRICT;

-- Row 0 is the operator: the home of its own audit chain. An equity account per currency is the other side of
-- opening balances; only it may be negative.
CREATE TABLE accounts (
    account_id     INTEGER PRIMARY KEY,
    number         TEXT UNIQUE,
    holder         TEXT NOT NULL,
    currency       TEXT,
    kind           TEXT NOT NULL CHECK (kind IN ('current', 'stored-value', 'equity', 'operator')),
    balance        INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0 OR kind = 'equity'),
    is_open        INTEGER NOT NULL DEFAULT 1 CHECK (is_open IN (0, 1)),
    locked_at      INTEGER,
    lock_cause     TEXT,
    wrong_in_a_row INTEGER NOT NULL DEFAULT 0 CHECK (wrong_in_a_row >= 0),
    audit_sequence INTEGER NOT NULL DEFAULT 0,
    audit_seal     BLOB NOT NULL DEFAULT (zeroblob(16)),
    CHECK ((locked_at IS NULL) = (lock_cause IS NULL)),
    CHECK ((number IS NULL) = (kind IN ('equity', 'operator')))
) STRICT;
CREATE UNIQUE INDEX one_equity_account_per_currency ON accounts (currency) WHERE kind = 'equity';

CREATE TABLE cards (
    account_id       INTEGER NOT NULL REFERENCES accounts,
    card_id          TEXT NOT NULL UNIQUE,
    binding          TEXT NOT NULL,
    rsa_bits         INTEGER NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('ordered', 'active', 'blocked')),
    public_key       BLOB,
    mark_counter     INTEGER,
    mark_fingerprint BLOB,
    mark_life        TEXT CHECK (mark_life IN ('alive', 'executed', 'dead')),
    mark_wrong       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, card_id),
    CHECK (state <> 'active' OR public_key IS NOT NULL),
    CHECK ((mark_counter IS NULL) = (mark_life IS NULL)),
    CHECK ((mark_counter IS NULL) = (mark_fingerprint IS NULL))
) STRICT;

-- Wrong passwords since the last unlock, for the windowed count.
CREATE TABLE wrong_passwords (
    account_id INTEGER NOT NULL REFERENCES accounts,
    at         INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (account_id, at, sequence)
) STRICT, WITHOUT ROWID;

-- What was executed, with the evidence: the bytes that were signed.
CREATE TABLE transactions (
    account_id     INTEGER NOT NULL REFERENCES accounts,
    transaction_id TEXT NOT NULL,
    card_id        TEXT NOT NULL REFERENCES cards (card_id),
    counter        INTEGER NOT NULL,
    message        BLOB NOT NULL,
    signature      BLOB NOT NULL,
    receipt        TEXT NOT NULL,
    PRIMARY KEY (account_id, transaction_id),
    UNIQUE (card_id, counter)
) STRICT, WITHOUT ROWID;

-- Double entry: the legs of one transaction sum to zero.
CREATE TABLE entries (
    account_id     INTEGER NOT NULL REFERENCES accounts,
    transaction_id TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount <> 0),
    at             INTEGER NOT NULL,
    PRIMARY KEY (account_id, transaction_id)
) STRICT, WITHOUT ROWID;

-- Answers by client and idempotency key. The body's tag is keyed: it does not betray what was typed.
CREATE TABLE requests (
    account_id      INTEGER NOT NULL REFERENCES accounts,
    terminal_id     TEXT NOT NULL REFERENCES terminals,
    idempotency_key TEXT NOT NULL,
    body            BLOB NOT NULL,
    answer          TEXT NOT NULL,
    at              INTEGER NOT NULL,
    UNIQUE (terminal_id, idempotency_key)
) STRICT;

CREATE TABLE audit (
    account_id INTEGER NOT NULL REFERENCES accounts,
    sequence   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    event      TEXT NOT NULL,
    seal       BLOB NOT NULL,
    PRIMARY KEY (account_id, sequence)
) STRICT, WITHOUT ROWID;
