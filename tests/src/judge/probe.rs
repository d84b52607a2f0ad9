//! A first version of a card's claims, from what it shows without being asked to sign.

use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::Atr;

use crate::conform::{CommandBuilder, Stop, Tester};
use crate::target::{CardUnderTest, Claims, IssuerDomain};

/// `proposed`, with what can be seen of `card`: extended length by its answer to reset, or by taking such a command, and how its
/// issuer's security domain is reached. The rest is to be corrected by people.
///
/// # Errors
/// [`Stop`] if it does not answer as a card of this specification.
pub fn probe(card: &mut dyn CardUnderTest, proposed: Claims) -> Result<Claims, Stop> {
    let mut tester = Tester::new(card, proposed.suite());
    tester.field_in()?;
    let says = Atr::new(tester.reset()?).supports_extended();
    let issuer_domain = issuer_domain(&mut tester)?;
    tester.select()?;
    let command = CommandBuilder::alias().with_ne(Some(1_000)).extended();
    let takes = tester.send("read the alias in extended length", &command)?.sw == StatusWord::OK;
    Ok(Claims {
        card: "name the product here".to_owned(),
        extended_length: says || takes,
        issuer_domain,
        ..proposed
    })
}

/// After a reset it is asked for what only a domain has.
fn issuer_domain(tester: &mut Tester<'_>) -> Result<IssuerDomain, Stop> {
    if tester.send("GET DATA of the card recognition data", &CommandBuilder::card_data())?.sw
        == StatusWord::OK
    {
        return Ok(IssuerDomain::Default);
    }
    let found = tester.send("SELECT without a name", &CommandBuilder::select_issuer())?.sw;
    Ok(if found == StatusWord::OK { IssuerDomain::ByName } else { IssuerDomain::None })
}
