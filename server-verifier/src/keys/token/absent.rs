//! Stands in for the token in a program that was built without PKCS#11.

use onetap_apdu_spec::crypto::{Block, RsaBits, RsaPrivate};
use onetap_apdu_spec::keys::MasterKey;

use super::super::access::{Passphrase, TokenPlace};
use super::super::error::TokenError;

/// There is none.
#[derive(Debug)]
pub(in super::super) enum Token {}

impl Token {
    pub(in super::super) fn connect(_: &TokenPlace, _: Option<&Passphrase>) -> Result<Self, TokenError> {
        Err(TokenError::NotBuiltIn)
    }

    pub(in super::super) fn rsa_private(&self, _: &str, _: &[u8]) -> Result<Box<dyn RsaPrivate>, TokenError> {
        match *self {}
    }

    pub(in super::super) fn master_key(&self, _: &str, _: &Block) -> Result<Box<dyn MasterKey>, TokenError> {
        match *self {}
    }

    pub(in super::super) fn generate_rsa(&self, _: &str, _: RsaBits) -> Result<Vec<u8>, TokenError> {
        match *self {}
    }

    pub(in super::super) fn generate_master_key(&self, _: &str) -> Result<Block, TokenError> {
        match *self {}
    }

    pub(in super::super) fn destroy(&self, _: &str) -> Result<(), TokenError> {
        match *self {}
    }
}
