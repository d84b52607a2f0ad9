//! Pages that hold all that they show: nothing on them is loaded from elsewhere.

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
    h1,h2{font-weight:600;line-height:1.2}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;\
    vertical-align:top;border-bottom:1px solid #ddd}svg{max-width:100%;height:auto}\
    pre{overflow-x:auto;background:#f4f4f4;padding:.5rem}\
    .missed,.failed{color:#b00020}.failed{font-weight:600}.not-performed{color:#8a5a00}.not-applicable{color:#666}";

/// A page of these parts, which are HTML.
#[must_use]
pub fn page(title: &str, parts: &[String]) -> String {
    let (title, parts) = (escaped(title), parts.join("\n"));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n{parts}\n</body></html>\n"
    )
}

/// A heading with a plot below it.
#[must_use]
pub fn section(heading: &str, plot: &str) -> String {
    format!("<h2>{}</h2>\n{plot}", escaped(heading))
}

/// A table; the first row is its head.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let row = |(number, cells): (usize, &Vec<String>)| {
        let kind = if number == 0 { "th" } else { "td" };
        let cells: String = cells.iter().map(|cell| format!("<{kind}>{}</{kind}>", escaped(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    format!("<table>\n{}</table>", rows.iter().enumerate().map(row).collect::<String>())
}

/// Text that is no markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing_and_takes_no_markup_from_names() {
        let page = page("a <b>", &[section("p99 & more", "<svg/>"), table(&[vec!["<i>".into()]])]);
        assert!(page.contains("a &lt;b&gt;") && page.contains("p99 &amp; more") && page.contains("<svg/>"));
        assert!(!page.contains("<i>") && !page.contains("src=") && !page.contains("href="));
    }
}
