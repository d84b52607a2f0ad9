-- Schema version 4: an idempotency key is the client's, whatever account its request names.

CREATE TABLE requests_of_clients (
    terminal_id     TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    account_id      INTEGER NOT NULL,
    body            BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    PRIMARY KEY (terminal_id, idempotency_key)
) STRICT, WITHOUT ROWID;
-- Of answers under one key, which version 3 kept for each account, the first one stays.
INSERT INTO requests_of_clients (terminal_id, idempotency_key, account_id, body, sequence, at)
    SELECT terminal_id, idempotency_key, account_id, body, sequence, at FROM (
        SELECT requests.*, row_number() OVER (
            PARTITION BY terminal_id, idempotency_key ORDER BY at, account_id
        ) AS place FROM requests
    ) AS numbered WHERE place = 1;
DROP TABLE requests;
ALTER TABLE requests_of_clients RENAME TO requests;
