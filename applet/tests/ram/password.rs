//! A joint password.

use onetap_applet::Key;

use crate::rig::Rig;
use crate::scan::{MASK, alone, found};

/// The password on the display, masked: as it is, and in groups as it is shown.
fn masked(rig: &mut Rig) -> [Vec<u8>; 2] {
    let screen = rig.card.screen();
    let shown = screen.lines()[1].bytes().map(|byte| byte ^ MASK);
    let grouped: Vec<u8> = shown.collect();
    [grouped.iter().copied().filter(|byte| *byte != b' ' ^ MASK).collect(), grouped]
}

#[test]
fn a_joint_password_that_was_wiped_is_nowhere_in_memory() {
    let _alone = alone();
    let mut rig = Rig::new();
    for superseded in [false, true] {
        rig.tap("12.34");
        rig.read();
        rig.card.press(Key::Confirm).unwrap();
        let [plain, grouped] = masked(&mut rig);
        assert!(plain.len() >= 6 && found(&plain) > 0, "it is on the display, so it is found");
        if superseded {
            rig.enter();
        } else {
            rig.card.press(Key::Cancel).unwrap();
        }
        assert_eq!((found(&plain), found(&grouped)), (0, 0), "superseded: {superseded}");
    }
}
