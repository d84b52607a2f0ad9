//! The server, as this terminal reaches it.

use onetap_apdu_spec::clock::{Clock as _, SystemClock};
use onetap_apdu_spec::service::Standing;
use onetap_pcsc_host::service::{NotReady, check_clock, check_terminal};

use super::finding::Finding;
use super::world::{Server, World};

/// It is reached, trusted, and answers this terminal.
pub(super) fn server(world: &World) -> Vec<Finding> {
    let Some(server) = &world.server else {
        return vec![Finding::not_looked("server", "none is named; --server URL names it")];
    };
    let of = format!("server {}", server.url);
    vec![match &server.standing {
        Ok(standing) => {
            Finding::fine(of, format!("it answers, and knows this client as {}", standing.client))
        }
        Err(trouble) => Finding::wrong(of, trouble.what.clone(), trouble.cure.clone()),
    }]
}

/// It knows this client as a terminal.
pub(super) fn terminal(world: &World) -> Vec<Finding> {
    told(world, "this terminal", |server, standing| {
        check_terminal(standing, server.terminal.as_ref()).map(|terminal| terminal.as_str().to_owned())
    })
}

/// This machine's clock is right, as far as the server takes payments by it.
pub(super) fn clock(world: &World) -> Vec<Finding> {
    told(world, "clock", |_, standing| {
        let ours = SystemClock.now();
        check_clock(standing, ours)
            .map(|()| format!("{} s from the server's", ours.0.abs_diff(standing.time.0)))
    })
}

/// What a server that answered tells of it.
fn told(
    world: &World,
    of: &str,
    judge: impl Fn(&Server, &Standing) -> Result<String, NotReady>,
) -> Vec<Finding> {
    let Some(server) = &world.server else { return Vec::new() };
    vec![match &server.standing {
        Err(_) => Finding::not_looked(of, "the server has not answered"),
        Ok(standing) => match judge(server, standing) {
            Ok(what) => Finding::fine(of, what),
            Err(error) => Finding::wrong(of, error.to_string(), error.advice()),
        },
    }]
}
