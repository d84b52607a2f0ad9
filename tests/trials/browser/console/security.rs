//! Tokens, roles, and names that want to be more than names.

use serde_json::json;

use super::desk::{Desk, says};

#[test]
fn a_wrong_token_is_refused_in_a_sentence_and_the_right_one_is_kept_nowhere_but_in_memory() {
    let Some(desk) = Desk::open() else { return };
    let name = desk.token("olga").split('.').next().unwrap();
    desk.sign_in(&format!("{name}.{}", "A".repeat(43)));
    says(&desk.browser, "problem", "The client is not known.");
    desk.browser.until("/ Request [0-9a-f]{24}\\.$/.test(document.getElementById('problem').textContent)");
    desk.browser.until("document.activeElement.id === 'token'");
    assert_eq!(desk.browser.script("return document.getElementById('token').value"), "");

    desk.sign_in(desk.token("olga"));
    says(&desk.browser, "who", "Signed in: olga, operator");
    assert_eq!(desk.browser.text("problem"), "");
    let places = desk.browser.script(
        "const fields = [...document.querySelectorAll('input, textarea')].map((field) => field.value);
         return [localStorage.length, sessionStorage.length, document.cookie, location.href,
           document.documentElement.outerHTML + fields.join(), JSON.stringify(history.state)]",
    );
    assert_eq!((&places[0], &places[1], &places[2]), (&json!(0), &json!(0), &json!("")));
    let secret = desk.token("olga").split('.').nth(1).unwrap();
    assert!(!places.to_string().contains(secret), "{places}");
}

#[test]
fn signing_out_forgets_the_token_and_everything_seen() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.lock(0);
    says(&desk.browser, "locked", &number.to_string());
    desk.find(&number);
    desk.browser.click("#sign-out");
    says(&desk.browser, "said", "Signed out.");
    assert_eq!(desk.browser.script("return document.activeElement.id"), "token");
    let page = desk.browser.script("return document.documentElement.outerHTML").to_string();
    assert!(!page.contains(&number.to_string()) && !page.contains("Holder"), "{page}");
    // The page's own module has nothing left to show.
    desk.browser.script(
        "import('/console/client.js').then((client) => { client.begin(''); return client.whoAmI(); })
           .catch((problem) => { window.answered = problem.status; })",
    );
    desk.browser.until("window.answered === 401");
}

#[test]
fn names_are_text_and_show_what_they_hide() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.lock(0);
    let hostile = "<img src=x onerror=hacked=1>\u{202e}drawkcab\u{200b}";
    desk.tamper(&format!("UPDATE accounts SET holder = ?1 WHERE number = '{number}'"), hostile);
    let shown = "<img src=x onerror=hacked=1>U+202EdrawkcabU+200B";
    says(&desk.browser, "locked", shown);
    desk.find(&number);
    says(&desk.browser, "account-name", shown);
    desk.browser.click(&format!("#unlock-account-{number}"));
    says(&desk.browser, "dialog-about", shown);
    desk.browser.keys("<script>hacked=1</script>");
    desk.browser.click("#dialog-confirm");
    says(&desk.browser, "account", "<script>hacked=1</script>");
    let state = desk.browser.script(
        "return [document.querySelectorAll('img, main script').length, typeof window.hacked,
           document.querySelector('#account-name bdi').querySelectorAll('.code').length]",
    );
    assert_eq!(state, json!([0, "undefined", 2]));
    // Not even a mistake in the page could make markup of a text.
    let refused = desk.browser.script(
        "try { document.body.innerHTML = '<b>text</b>'; return 'taken'; } catch (error) { return error.name; }",
    );
    assert_eq!(refused, "TypeError");
}

#[test]
fn a_role_is_offered_what_it_may_do_and_no_more() {
    for (name, role, may) in
        [("arno", "auditor", false), ("adam", "admin", false), ("olga", "operator", true)]
    {
        let Some(mut desk) = Desk::open_as(name) else { return };
        says(&desk.browser, "who", role);
        let number = desk.lock(0);
        says(&desk.browser, "locked", &number.to_string());
        desk.find(&number);
        let offered = "return [document.querySelectorAll('[id^=unlock-]').length,
            document.querySelectorAll('[id^=block-]').length]";
        let expected = if may { json!([2, 1]) } else { json!([0, 0]) };
        assert_eq!(desk.browser.script(offered), expected, "{role}");
    }
}

#[test]
fn a_terminal_has_no_console() {
    let Some(desk) = Desk::open() else { return };
    desk.sign_in(desk.token("pos"));
    says(&desk.browser, "problem", "The role terminal has no console.");
    assert_eq!(desk.browser.script("return document.getElementById('work').hidden"), true);
}
