//! Interfaces that one applet shares with others.

use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::{
    Asked, Context, Fault, LOCKED, OwnerPin, SECURITY_DOMAIN, SELECTABLE, Server, Shareable,
};

use crate::probe::{BYTES, LOAD, NUMBER, OTHER, PANIC, Probe, REFUSE, UNTIL_DESELECT, UNTIL_RESET};
use crate::rig::{Rig, aid, name};

pub(crate) type Work = fn(&mut Context<'_>) -> Result<u32, Fault>;

/// An interface that does in the server's context whatever a test wants.
pub(crate) trait Desk {
    fn work(&mut self, work: Work) -> Result<u32, Fault>;
}

/// Its name.
pub(crate) struct DeskInterface;

impl Shareable for DeskInterface {
    type Object<'a> = dyn Desk + 'a;
}

/// Another interface of the same shape.
struct OtherInterface;

impl Shareable for OtherInterface {
    type Object<'a> = dyn Desk + 'a;
}

/// The server behind its interface.
struct Behind<'a, 'c>(&'a mut Context<'c>);

impl Desk for Behind<'_, '_> {
    fn work(&mut self, work: Work) -> Result<u32, Fault> {
        work(self.0)
    }
}

fn answers(cx: &mut Context<'_>, asked: &mut Asked<'_>) {
    asked.answer::<DeskInterface>(&mut Behind(cx));
}

fn server(n: u8) -> Server<DeskInterface> {
    Server::new(aid(n))
}

/// What the client, 1, gets when the server, 2, works.
fn call(cx: &mut Context<'_>, work: Work) -> Result<u32, Fault> {
    cx.call(&server(2), move |desk| desk.work(work))
}

/// A client, 1, which is selected, and a server, 2, that answers everybody.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.probe(2, |probe, _| probe.on_share = answers);
    rig
}

#[allow(clippy::needless_pass_by_value, reason = "a call's result, as it comes")]
fn refused(result: Result<u32, Fault>) -> bool {
    matches!(result, Err(Fault::NotShared))
}

#[test]
fn a_call_runs_in_the_servers_context_and_comes_back() {
    let mut rig = rig();
    rig.within(1, |cx| {
        cx.set(&NUMBER, &1).unwrap();
        cx.set_transient(&UNTIL_RESET, &1).unwrap();
        let found = call(cx, |cx| {
            assert_eq!((cx.aid(), cx.client()), (Some(aid(2)), Some(aid(1))));
            assert_eq!(cx.find(&NUMBER)?, None);
            assert_eq!(cx.transient(&UNTIL_RESET)?, 0);
            cx.set(&NUMBER, &2)?;
            cx.set_transient(&UNTIL_RESET, &2)?;
            cx.get(&NUMBER)
        });
        assert_eq!(found.unwrap(), 2);
        assert_eq!((cx.aid(), cx.client()), (Some(aid(1)), None));
        assert_eq!((cx.get(&NUMBER).unwrap(), cx.transient(&UNTIL_RESET).unwrap()), (1, 1));
    });
    rig.within(2, |cx| {
        assert_eq!((cx.get(&NUMBER).unwrap(), cx.transient(&UNTIL_RESET).unwrap()), (2, 2));
        assert_eq!(cx.client(), None);
    });
}

#[test]
fn the_server_need_not_be_selected_and_works_on_the_clients_channel() {
    let mut rig = rig();
    assert_eq!(rig.select(0, &name(2)), "9000");
    rig.install(Probe::MULTI, 3);
    let channel = rig.open_channel(0);
    assert_eq!(rig.select(channel, &name(3)), "9000");
    rig.probe(3, |probe, _| {
        probe.on_process = |cx, reply| {
            let on = call(cx, |cx| Ok(u32::from(cx.channel())))?;
            reply.send(&on.to_be_bytes());
            Ok(())
        };
    });
    let answer = rig.send([crate::rig::on(0x80, channel), Probe::ACT, 0, 0], &[], Some(4));
    assert_eq!(answer.data, [0, 0, 0, channel]);
    assert_eq!(rig.selected(0), Some(2), "a call selects nobody and deselects nobody");
}

#[test]
fn an_applet_that_does_not_answer_refuses() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.within(1, |cx| assert!(refused(call(cx, |_| panic!("it never comes here")))));
    rig.probe(2, |probe, _| {
        probe.on_share = |cx, asked| {
            if cx.client() == Some(aid(3)) {
                answers(cx, asked);
            }
        };
    });
    rig.install(Probe::PLAIN, 3);
    rig.within(1, |cx| assert!(refused(call(cx, |_| panic!("it never comes here")))));
    rig.within(3, |cx| assert_eq!(call(cx, |_| Ok(3)).unwrap(), 3));
    rig.probe(2, |probe, _| {
        probe.on_share = |cx, asked| asked.answer::<OtherInterface>(&mut Behind(cx));
    });
    rig.within(3, |cx| assert!(refused(call(cx, |_| panic!("of another interface")))));
}

#[test]
fn a_refusal_becomes_6985() {
    let mut rig = Rig::new();
    rig.install(Probe::PLAIN, 2);
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| call(cx, |_| Ok(0)).map(drop).map_err(StatusWord::from);
    });
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "6985");
}

#[test]
fn servers_that_are_not_there_are_not_told_apart() {
    let mut rig = rig();
    let none = |rig: &mut Rig| rig.within(1, |cx| assert!(refused(call(cx, |_| Ok(0)))));
    rig.within(1, |cx| {
        let unknown: Result<u32, Fault> = cx.call(&server(9), |desk| desk.work(|_| Ok(0)));
        assert!(refused(unknown), "there never was one");
    });
    let domain = |rig: &mut Rig, p1, p2| {
        assert_eq!(rig.select(0, &name(7)), "9000");
        let answer = rig.send([0x80, Probe::MANAGE, p1, p2], &name(2), None);
        assert_eq!(answer.sw, "9000");
    };
    rig.card.install(&Probe::PLAIN, aid(7), [SECURITY_DOMAIN, 0, 0], &[]).unwrap();
    domain(&mut rig, crate::probe::SET_STATE, SELECTABLE | LOCKED);
    none(&mut rig);
    domain(&mut rig, crate::probe::SET_STATE, SELECTABLE);
    rig.within(1, |cx| assert_eq!(call(cx, |_| Ok(5)).unwrap(), 5));
    rig.within(2, |cx| cx.set(&LOAD, &REFUSE).unwrap());
    let mut rig = rig.restart();
    none(&mut rig);
    domain(&mut rig, crate::probe::DELETE, 0);
    none(&mut rig);
    rig.install(Probe::PLAIN, 2);
    none(&mut rig);
    rig.probe(2, |probe, _| probe.on_share = answers);
    rig.within(1, |cx| assert_eq!(call(cx, |cx| Ok(cx.find(&LOAD)?.map_or(0, u32::from))).unwrap(), 0));
}

#[test]
fn who_runs_already_is_not_called_again() {
    let mut rig = rig();
    rig.probe(1, |probe, _| probe.on_share = answers);
    rig.install(Probe::PLAIN, 3);
    rig.probe(3, |probe, _| probe.on_share = answers);
    rig.within(1, |cx| {
        let own: Result<u32, Fault> = cx.call(&server(1), |desk| desk.work(|_| Ok(0)));
        assert!(refused(own));
        let back = call(cx, |cx| {
            let back: Result<u32, Fault> = cx.call(&server(1), |desk| desk.work(|_| Ok(0)));
            assert!(refused(back));
            cx.call(&server(3), |desk| {
                desk.work(|cx| {
                    assert_eq!((cx.aid(), cx.client()), (Some(aid(3)), Some(aid(2))));
                    let round: Result<u32, Fault> = cx.call(&server(1), |desk| desk.work(|_| Ok(0)));
                    assert!(refused(round));
                    Ok(7)
                })
            })
        });
        assert_eq!(back.unwrap(), 7);
        assert_eq!(call(cx, |_| Ok(8)).unwrap(), 8, "all is as before");
    });
}

#[test]
fn an_answer_is_used_once() {
    let mut rig = rig();
    rig.probe(2, |probe, _| {
        probe.on_share = |cx, asked| {
            answers(cx, asked);
            answers(cx, asked);
        };
    });
    rig.within(1, |cx| {
        let count = call(cx, |cx| {
            let count = cx.transient(&UNTIL_RESET)? + 1;
            cx.set_transient(&UNTIL_RESET, &count)?;
            Ok(count)
        });
        assert_eq!(count.unwrap(), 1);
    });
    rig.within(2, |cx| assert_eq!(cx.transient(&UNTIL_RESET).unwrap(), 1));
}

#[test]
fn an_applet_that_is_being_installed_has_no_name_and_gets_nothing() {
    let mut rig = rig();
    let made = rig.card.install(&Probe::PLAIN, aid(3), [0; 3], b"calls");
    assert_eq!(made.map_err(|sw| sw.to_string()), Err("6985".to_owned()));
    assert_eq!(rig.names().len(), 2);
}

#[test]
fn what_deselection_clears_is_for_the_selected_applet() {
    let mut rig = rig();
    let touch: Work = |cx| {
        assert!(matches!(cx.transient(&UNTIL_DESELECT), Err(Fault::IllegalTransient)));
        assert!(matches!(cx.set_transient(&UNTIL_DESELECT, &1), Err(Fault::IllegalTransient)));
        Ok(1)
    };
    rig.probe(1, |_, cx| assert_eq!(call(cx, touch).unwrap(), 1));
    assert_eq!(rig.select(0, &name(2)), "9000");
    rig.within(2, |cx| cx.set_transient(&UNTIL_DESELECT, &5).unwrap());
    rig.within(1, |cx| assert_eq!(call(cx, |cx| cx.transient(&UNTIL_DESELECT)).unwrap(), 5));
}

#[test]
fn what_the_server_writes_belongs_to_the_clients_transaction() {
    let write: Work = |cx| {
        assert!(cx.transaction_open());
        assert!(matches!(cx.begin(), Err(Fault::TransactionOpen)));
        cx.set(&NUMBER, &2)?;
        assert!(matches!(cx.commit(), Err(Fault::NoTransaction)));
        assert!(matches!(cx.abort(), Err(Fault::NoTransaction)));
        Ok(0)
    };
    let mut rig = rig();
    rig.within(1, |cx| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &1).unwrap();
        call(cx, write).unwrap();
        cx.abort().unwrap();
    });
    rig.within(1, |cx| assert_eq!(cx.find(&NUMBER).unwrap(), None));
    rig.within(2, |cx| assert_eq!(cx.find(&NUMBER).unwrap(), None));
    rig.within(1, |cx| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &1).unwrap();
        call(cx, write).unwrap();
        cx.commit().unwrap();
    });
    let mut rig = rig.restart();
    rig.within(1, |cx| assert_eq!(cx.get(&NUMBER).unwrap(), 1));
    rig.within(2, |cx| assert_eq!(cx.get(&NUMBER).unwrap(), 2));
}

#[test]
fn a_transaction_of_the_servers_own_ends_with_the_call() {
    let mut rig = rig();
    rig.within(1, |cx| {
        let own = call(cx, |cx| {
            cx.transaction(|cx| cx.set(&OTHER, &3))?;
            cx.begin()?;
            cx.set(&NUMBER, &2)?;
            Ok(0)
        });
        assert_eq!(own.unwrap(), 0);
        assert!(!cx.transaction_open(), "what the server left open is aborted");
        assert!(matches!(call(cx, |cx| cx.get(&NUMBER)), Err(Fault::NoSuchObject(0))));
        assert_eq!(call(cx, |cx| cx.get(&OTHER)).unwrap(), 3);
        // A server that calls on lends its transaction in turn.
        let lent = call(cx, |cx| {
            cx.begin()?;
            cx.set(&NUMBER, &2)?;
            let refused: Result<u32, Fault> = cx.call(&server(9), |desk| desk.work(|_| Ok(0)));
            assert!(refused.is_err());
            cx.commit()?;
            cx.get(&NUMBER)
        });
        assert_eq!(lent.unwrap(), 2);
    });
}

#[test]
fn tries_of_the_servers_pin_are_not_given_back_by_the_clients_abort() {
    const PIN: OwnerPin = OwnerPin::new(20, 3);
    let mut rig = rig();
    rig.within(2, |cx| PIN.update(cx, b"1234").unwrap());
    rig.within(1, |cx| {
        cx.begin().unwrap();
        assert_eq!(call(cx, |cx| Ok(u32::from(PIN.check(cx, b"1111")?))).unwrap(), 0);
        cx.abort().unwrap();
    });
    rig.within(2, |cx| assert_eq!(PIN.tries_left(cx).unwrap(), 2));
}

#[test]
fn a_server_that_panics_is_made_anew_and_the_client_goes_on() {
    let mut rig = rig();
    rig.within(1, |cx| {
        let failed = call(cx, |cx| {
            cx.set(&NUMBER, &2)?;
            cx.begin()?;
            cx.set(&NUMBER, &3)?;
            panic!("as the test asks")
        });
        assert!(matches!(failed, Err(Fault::ServerFailed)));
        assert_eq!(StatusWord::from(Fault::ServerFailed), StatusWord::INTERNAL);
        assert!(!cx.transaction_open());
        cx.set(&NUMBER, &1).unwrap();
    });
    rig.probe(2, |probe, cx| {
        assert_eq!(cx.get(&NUMBER).unwrap(), 2, "what was written before stays, the open transaction goes");
        probe.on_share = answers;
    });
    rig.within(1, |cx| {
        assert_eq!((cx.get(&NUMBER).unwrap(), call(cx, |_| Ok(4)).unwrap()), (1, 4));
    });
}

#[test]
fn a_transaction_in_which_a_server_panicked_can_only_be_aborted() {
    let mut rig = rig();
    rig.within(1, |cx| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &1).unwrap();
        let failed = call(cx, |cx| {
            cx.set(&LOAD, &REFUSE)?;
            panic!("half-way")
        });
        assert!(matches!(failed, Err(Fault::ServerFailed)));
        assert!(cx.transaction_open());
        cx.set(&BYTES, &b"more".to_vec()).unwrap();
        assert!(matches!(cx.commit(), Err(Fault::ServerFailed)));
        assert!(!cx.transaction_open());
        assert_eq!((cx.find(&NUMBER).unwrap(), cx.find(&BYTES).unwrap()), (None, None));
        cx.transaction(|cx| cx.set(&NUMBER, &5)).unwrap();
    });
    rig.within(2, |cx| assert_eq!(cx.find(&LOAD).unwrap(), None, "it was made anew as it was before"));
}

#[test]
fn a_server_that_cannot_be_made_anew_is_gone() {
    let mut rig = rig();
    rig.within(1, |cx| {
        let failed = call(cx, |cx| {
            cx.set(&LOAD, &PANIC)?;
            panic!("as the test asks")
        });
        assert!(matches!(failed, Err(Fault::ServerFailed)));
        assert!(refused(call(cx, |_| Ok(0))));
    });
    assert_eq!(rig.send([0x80, Probe::WHO, 0, 0], &[], Some(7)).sw, "9000", "the client is well");
}

#[test]
fn a_domain_that_is_called_cannot_delete_who_calls() {
    let mut rig = Rig::new();
    rig.card.install(&Probe::PLAIN, aid(2), [SECURITY_DOMAIN, 0, 0], &[]).unwrap();
    rig.install(Probe::PLAIN, 3);
    rig.probe(2, |probe, _| probe.on_share = answers);
    // Not selected, so that selection does not protect it.
    rig.within(3, |cx| {
        let tried = call(cx, |cx| {
            for n in [2, 3] {
                let deleted = cx.manager().unwrap().delete(&aid(n));
                assert_eq!(deleted, Err(StatusWord::CONDITIONS), "{n}");
            }
            Ok(0)
        });
        assert_eq!(tried.unwrap(), 0);
    });
    assert_eq!(rig.names().len(), 3);
}

/// The client takes one from itself and gives one to the server, torn at each write.
#[test]
fn no_tear_divides_what_client_and_server_do_together() {
    let mut start = rig();
    start.within(1, |cx| cx.set(&NUMBER, &10).unwrap());
    start.within(2, |cx| cx.set(&NUMBER, &0).unwrap());
    let (mut before, mut after) = (0, 0);
    for at in 0.. {
        let mut torn = true;
        for how in How::ALL {
            let mut rig = start.reopened();
            rig.probe(2, |probe, _| probe.on_share = answers);
            rig.switch.arm(Cut { at, how });
            let moved = rig.within(1, |cx| {
                cx.transaction(|cx| {
                    let own = cx.get(&NUMBER)?;
                    cx.set(&NUMBER, &(own - 1))?;
                    call(cx, |cx| {
                        let given = cx.get(&NUMBER)?;
                        cx.set(&NUMBER, &(given + 1)).map(|()| given + 1)
                    })
                })
            });
            torn = rig.switch.torn();
            let mut rig = rig.restart();
            let found =
                (rig.within(1, |cx| cx.get(&NUMBER).unwrap()), rig.within(2, |cx| cx.get(&NUMBER).unwrap()));
            match found {
                (10, 0) if moved.is_err() => before += 1,
                (9, 1) => after += 1,
                other => panic!("write {at}, {how:?}: {other:?}, {moved:?}"),
            }
        }
        if !torn {
            break;
        }
    }
    assert!(before >= 3 && after >= 3, "{before} cuts before, {after} after");
}
