//! The card's time, as long as its panel is served.

use tokio::time::MissedTickBehavior;

use super::hub::{Hub, TICK};

/// Lets the card's time pass, and lets the rules see each new screen.
pub(crate) async fn keep_time(hub: &Hub) {
    let mut marks = hub.history.subscribe();
    let mut clock = tokio::time::interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = 0;
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            changed = marks.changed() => if changed.is_err() { return },
            () = hub.new_rules.notified() => seen = 0,
        }
        hub.tick();
        let screen = hub.history.marks().screen;
        if std::mem::replace(&mut seen, screen) != screen {
            hub.automate().await;
        }
    }
}
