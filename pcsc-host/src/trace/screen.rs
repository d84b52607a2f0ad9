//! What the card's display shows, with its secret marked so that it can be left out.

use std::fmt;

use onetap_apdu_spec::password::Password;

/// What stands in a trace for the joint password.
pub const JOINT_PASSWORD: &str = "${joint-password}";
/// Stands for any text within one line.
const ANY: &str = "${*}";

/// The display's lines, and the joint password if it stands among them.
#[derive(Clone, Default)]
pub struct Screen {
    lines: Vec<String>,
    joint_password: Option<Password>,
}

impl Screen {
    /// Takes the lines as displayed. `joint_password` must be given whenever they hold it: in the
    /// lines that are kept it is replaced at once.
    pub fn new<L: AsRef<str>>(lines: &[L], joint_password: Option<Password>) -> Self {
        let redact = |line: &L| match &joint_password {
            Some(secret) => line.as_ref().replace(secret.expose(), JOINT_PASSWORD),
            None => line.as_ref().to_owned(),
        };
        Self { lines: lines.iter().map(redact).collect(), joint_password }
    }

    /// The lines without the secret.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The joint password, if it is displayed.
    #[must_use]
    pub fn joint_password(&self) -> Option<&Password> {
        self.joint_password.as_ref()
    }

    /// What the trace has and what is there, if they differ: all lines, with the number of the first that does.
    pub(super) fn difference(&self, expected: &[String]) -> Option<(String, String)> {
        let same = self.lines.iter().zip(expected).take_while(|(line, pattern)| line_matches(pattern, line));
        let first = same.count();
        let told = |lines: &[String]| match lines.get(first) {
            Some(line) => format!("{line:?} in line {} of the display: {}", first + 1, lines.join(" | ")),
            None => format!("{} lines on the display: {}", lines.len(), lines.join(" | ")),
        };
        let differ = first < self.lines.len().max(expected.len());
        differ.then(|| (told(expected), told(&self.lines)))
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.fmt(f)
    }
}

/// Literals in order with any text between: the first at the start, the last at the end.
fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((head, rest)) = pattern.split_once(ANY) else {
        return pattern == line;
    };
    let Some(mut line) = line.strip_prefix(head) else {
        return false;
    };
    let mut literals: Vec<_> = rest.split(ANY).collect();
    let tail = literals.pop().unwrap_or_default();
    for literal in literals {
        match line.find(literal) {
            Some(at) => line = &line[at + literal.len()..],
            None => return false,
        }
    }
    line.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_joint_password_is_left_out() {
        let screen = Screen::new(&["Password", "> 12345678 <"], Some("12345678".parse().unwrap()));
        assert_eq!(screen.lines(), ["Password", "> ${joint-password} <"]);
        assert!(!format!("{screen:?}").contains("1234"));
        assert_eq!(screen.difference(&["Password".into(), "> ${joint-password} <".into()]), None);
        let (expected, got) = screen.difference(&["Password".into()]).unwrap();
        assert!(expected.starts_with("1 lines on") && got.starts_with("\"> ${joint-password} <\" in line 2"));
    }

    #[test]
    fn any_text_matches_within_its_line() {
        for (pattern, line, same) in [
            ("${*}", "", true),
            ("${*}", "abc", true),
            ("a${*}c", "abc", true),
            ("a${*}c", "ac", true),
            ("a${*}c", "abd", false),
            ("a${*}b${*}d", "a1b2d", true),
            ("a${*}b${*}d", "a1c2d", false),
            ("ab${*}ba", "aba", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(line_matches(pattern, line), same, "{pattern} {line}");
        }
    }
}
