//! Statements as PostgreSQL spells them, and several in one.

/// A statement with parameters `$1` … instead of `?1` …, counted from `after` on.
pub(super) fn spelled(sql: &str, after: usize) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number = part[..digits].parse::<usize>().unwrap_or(0) + after;
        text = text + "$" + &number.to_string() + &part[digits..];
    }
    text
}

/// One statement that does what several do, of each of which the text and the number of parameters is given, by `WITH`
/// (<https://www.postgresql.org/docs/15/queries-with.html>, "Data-Modifying Statements in WITH"). Each sees the tables as
/// they were before all of them, so none may read or change a row that another one writes.
pub(super) fn joined(statements: &[(&str, usize)]) -> String {
    let (mut text, mut parameters) = (String::new(), 0);
    for (number, (sql, count)) in statements.iter().enumerate() {
        let sql = spelled(sql, parameters);
        text += &match (number, number + 1 == statements.len()) {
            (_, true) => sql,
            (0, false) => format!("WITH w0 AS ({sql}) "),
            (_, false) => format!(", w{number} AS ({sql}) "),
        };
        parameters += count;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "INSERT INTO entries (a, b) VALUES (?1, ?2)";
    const BALANCE: &str = "UPDATE accounts SET balance = ?2 WHERE account_id = ?1";

    #[test]
    fn parameters_are_counted_on() {
        assert_eq!(spelled("a = ?1 AND b = ?12", 0), "a = $1 AND b = $12");
        assert_eq!(joined(&[(BALANCE, 2)]), "UPDATE accounts SET balance = $2 WHERE account_id = $1");
        assert_eq!(
            joined(&[(ENTRY, 2), (BALANCE, 2), (ENTRY, 2)]),
            "WITH w0 AS (INSERT INTO entries (a, b) VALUES ($1, $2)) , \
             w1 AS (UPDATE accounts SET balance = $4 WHERE account_id = $3) \
             INSERT INTO entries (a, b) VALUES ($5, $6)"
        );
    }
}
