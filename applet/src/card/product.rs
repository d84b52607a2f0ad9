//! Kinds of cards: what is in their ROM, and what their manufacturer makes of it.

use std::sync::Arc;

use super::environment::Environment;
use super::error::{CardError, Owner};
use super::facade::Card;
use super::face::Face;
use crate::nvm::{Image, Nvm};
use crate::runtime::{Aid, Fault, Module, Runtime};

/// A kind of card: the modules in its ROM, the instances that its manufacturer makes of them, and its face, if it has
/// one. The signing card is one kind, an author's own another.
#[derive(Clone)]
pub struct Product {
    rom: Vec<Module>,
    instances: Vec<NewInstance>,
    face: Option<MakeFace>,
}

type MakeFace = Arc<dyn Fn() -> Box<dyn Face> + Send + Sync>;

/// An instance that every new card of a kind has.
#[derive(Debug, Clone)]
struct NewInstance {
    module: Aid,
    name: Aid,
    privileges: [u8; 3],
    parameters: Vec<u8>,
}

impl Product {
    /// A kind of card with these modules in its ROM, without instances or a face.
    #[must_use]
    pub fn new(rom: &[Module]) -> Self {
        Self { rom: rom.to_vec(), instances: Vec::new(), face: None }
    }

    /// One module more in the ROM.
    #[must_use]
    pub fn module(mut self, module: Module) -> Self {
        self.rom.push(module);
        self
    }

    /// Every new card has an instance `name` of `module`, installed with these privileges and parameters.
    #[must_use]
    pub fn instance(mut self, module: Aid, name: Aid, privileges: [u8; 3], parameters: &[u8]) -> Self {
        self.instances.push(NewInstance { module, name, privileges, parameters: parameters.to_vec() });
        self
    }

    /// Every card has a display and keys: what `make` makes.
    #[must_use]
    pub fn face<F: Face + 'static>(mut self, make: impl Fn() -> F + Send + Sync + 'static) -> Self {
        self.face = Some(Arc::new(move || Box::new(make())));
        self
    }

    /// A new card in empty memory.
    ///
    /// # Errors
    /// [`CardError`]; then the memory may hold a card that was not finished.
    pub fn make(&self, image: Box<dyn Image>, env: Environment) -> Result<Card, CardError> {
        let mut runtime = Runtime::format(Nvm::format(image)?, &self.rom, env)?;
        for new in &self.instances {
            let made = runtime.install(&new.module, new.name, new.privileges, &new.parameters);
            made.map_err(CardError::Refused)?;
        }
        Ok(self.card(runtime))
    }

    /// Opens a card that was made before.
    ///
    /// # Errors
    /// [`CardError`]. [`CardError::Foreign`] for a card with instances of modules that this kind does not have: it is
    /// another program's, and is left as it was.
    pub fn open(&self, image: Box<dyn Image>, env: Environment) -> Result<Card, CardError> {
        let runtime = match Runtime::open(Nvm::open(image)?, &self.rom, env) {
            // Even the registry is missing.
            Err(Fault::NoSuchObject(_)) => return Err(CardError::Unfinished),
            runtime => runtime?,
        };
        let foreign: Vec<Aid> =
            runtime.instances().map(|instance| instance.module).filter(|aid| !self.has(aid)).collect();
        if !foreign.is_empty() {
            return Err(CardError::Foreign(Owner::of(foreign)));
        }
        if runtime.instances().next().is_none() && !self.instances.is_empty() {
            return Err(CardError::Unfinished);
        }
        Ok(self.card(runtime))
    }

    fn has(&self, module: &Aid) -> bool {
        self.rom.iter().any(|known| known.aid() == *module)
    }

    fn card(&self, runtime: Runtime) -> Card {
        Card::new(runtime, self.face.as_ref().map(|make| make()))
    }
}
