//! `onetap terminal`: a page for the shop's laptop or tablet, with the reader and the server behind it.
//!
//! The card's password goes from the page's keypad to the payment that waits for it, and nowhere else: no route gives
//! it back, and nothing here keeps it (P-16).

mod desk;
mod routes;
mod sources;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use onetap_page::Page;
use onetap_pcsc_host::Limits;
use serde_json::json;

use crate::args;
use crate::exit::Failure;
use crate::interrupt;
use crate::online::Online;
use crate::output::Output;
use desk::Desk;

/// Serves the page until the program is told to end.
pub(crate) fn run(options: &args::Terminal, out: Output) -> Result<(), Failure> {
    let (tell, told) = channel();
    interrupt::watch(move || {
        // Nobody listens any more only when the page has ended already.
        let _ = tell.send(());
    })?;
    let online = Online::open(&options.online)?;
    let limits = Limits { tap: Duration::from_secs(options.wait), ..Limits::default() };
    let till = online.till(options.reader.as_deref(), limits)?;
    let desk = Arc::new(Desk::new(online, till));
    let page = Page::serve(options.listen, routes::site(&desk), std::future::pending())?;
    let url = page.url_of("/");
    out.result(&json!({ "terminal": url }), format!("open {url}\nend with Ctrl-C"))?;
    // Ends with an error only if nobody could tell it to stop: then it stops, too.
    let _ = told.recv();
    desk.cancel();
    Ok(())
}
