//! Statements as PostgreSQL spells them, several in one where that means the same.

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

/// One statement that does what several do, by `WITH`: each sees the tables as they were before all of them, so
/// none may read, and none may change what another one writes. `None` where that might be so.
pub(super) fn fused(statements: &[(&str, usize)]) -> Option<String> {
    let ((last, _), others) = statements.split_last()?;
    let mut targets: Vec<(&str, &str)> = Vec::new();
    for (sql, _) in statements {
        let (verb, table) = target(sql)?;
        let meets = |&(before, other): &(&str, &str)| other == table && (before, verb) != (INSERT, INSERT);
        if targets.iter().any(meets) {
            return None;
        }
        targets.push((verb, table));
    }
    let (mut text, mut parameters) = (String::new(), 0);
    for (number, (sql, count)) in others.iter().enumerate() {
        let separator = if number == 0 { "WITH" } else { "," };
        text = format!("{text}{separator} w{number} AS ({}) ", spelled(sql, parameters));
        parameters += count;
    }
    Some(text + &spelled(last, parameters))
}

const INSERT: &str = "INSERT";

/// What a statement does to which table, if it reads no other.
fn target(sql: &str) -> Option<(&str, &str)> {
    let mut words = sql.split_ascii_whitespace();
    let table = match words.next()? {
        INSERT => words.nth(1).map(|table| (INSERT, table)),
        verb @ "UPDATE" => words.next().map(|table| (verb, table)),
        _ => None,
    };
    table.filter(|_| !sql.contains("SELECT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "INSERT INTO entries (a, b) VALUES (?1, ?2)";
    const BALANCE: &str = "UPDATE accounts SET balance = ?2 WHERE account_id = ?1";

    #[test]
    fn parameters_are_counted_on() {
        assert_eq!(spelled("a = ?1 AND b = ?12", 0), "a = $1 AND b = $12");
        let one = fused(&[(ENTRY, 2), (BALANCE, 2), (ENTRY, 2)]).unwrap();
        assert_eq!(
            one,
            "WITH w0 AS (INSERT INTO entries (a, b) VALUES ($1, $2)) , \
             w1 AS (UPDATE accounts SET balance = $4 WHERE account_id = $3) \
             INSERT INTO entries (a, b) VALUES ($5, $6)"
        );
    }

    #[test]
    fn what_reads_or_meets_stays_apart() {
        assert_eq!(fused(&[]), None);
        assert_eq!(fused(&[(BALANCE, 2), (BALANCE, 2)]), None);
        assert_eq!(fused(&[(ENTRY, 2), ("UPDATE entries SET a = ?1", 1)]), None);
        assert_eq!(fused(&[(ENTRY, 2), ("INSERT INTO sums SELECT sum(a) FROM entries", 0)]), None);
        assert_eq!(fused(&[(ENTRY, 2), ("DELETE FROM credits", 0)]), None);
    }
}
