//! The objects in RAM, and which pages they are in.

use std::ops::Range;

use zeroize::Zeroizing;

use super::ObjectId;
use super::layout::{self, PAGE_PAYLOAD, Page};

/// One object.
pub(super) struct Object {
    pub(super) id: ObjectId,
    pub(super) content: Zeroizing<Vec<u8>>,
    /// Numbers of its pages, in the order of its content.
    pub(super) pages: Vec<u16>,
}

/// All objects, by name.
#[derive(Default)]
pub(super) struct Objects(Vec<Object>);

impl Objects {
    /// Puts objects together from all pages of an image, the free ones among them.
    ///
    /// # Errors
    /// What is wrong with the image.
    pub(super) fn rebuild(all: &[u8]) -> Result<Self, &'static str> {
        let mut used = Vec::new();
        for (number, bytes) in layout::used_pages(all) {
            used.push((Page::parse(bytes).ok_or("a page fails its check")?, number));
        }
        used.sort_unstable_by_key(|(page, _)| (page.id, page.index));
        let mut objects = Vec::new();
        for run in used.chunk_by(|(a, _), (b, _)| a.id == b.id) {
            objects.push(Object::join(run).ok_or("an object lacks a page or has one twice")?);
        }
        Ok(Self(objects))
    }

    /// The object of that name.
    pub(super) fn get(&self, id: ObjectId) -> Option<&Object> {
        self.find(id).ok().and_then(|at| self.0.get(at))
    }

    /// Numbers of the objects of `owner`, in rising order.
    pub(super) fn of(&self, owner: u8) -> impl Iterator<Item = u8> {
        let Range { start, end } = self.range(owner);
        self.0.get(start..end).unwrap_or_default().iter().map(|object| object.id.number)
    }

    fn range(&self, owner: u8) -> Range<usize> {
        let start = self.0.partition_point(|object| object.id.owner < owner);
        start..self.0.partition_point(|object| object.id.owner <= owner)
    }

    /// Gives an object new content, in the same pages as before or in `pages`; makes it if it is new.
    pub(super) fn put(&mut self, id: ObjectId, content: &[u8], pages: Option<Vec<u16>>) {
        match self.find(id) {
            Ok(at) => self.0.get_mut(at).into_iter().for_each(|object| object.replace(content, &pages)),
            Err(at) => {
                let content = Zeroizing::new(content.to_vec());
                self.0.insert(at, Object { id, content, pages: pages.unwrap_or_default() });
            }
        }
    }

    /// Removes an object, if there is one of that name.
    pub(super) fn remove(&mut self, id: ObjectId) {
        if let Ok(at) = self.find(id) {
            self.0.remove(at);
        }
    }

    fn find(&self, id: ObjectId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |object| object.id)
    }
}

impl Object {
    /// Joins the pages of one object, which are sorted; `None` if they are not 0, 1, … and all but the last
    /// full.
    fn join(run: &[(Page<'_>, u16)]) -> Option<Self> {
        let id = run.first()?.0.id;
        let mut content = Zeroizing::new(Vec::with_capacity(run.len() * PAGE_PAYLOAD));
        for (index, (page, _)) in run.iter().enumerate() {
            let in_place = usize::from(page.index) == index && content.len() == index * PAGE_PAYLOAD;
            content.extend(in_place.then_some(page.payload)?);
        }
        let whole = layout::pages_for(content.len()) == run.len();
        whole.then(|| Self { id, content, pages: run.iter().map(|(_, number)| *number).collect() })
    }

    fn replace(&mut self, content: &[u8], pages: &Option<Vec<u16>>) {
        if self.content.len() == content.len() {
            self.content.copy_from_slice(content);
        } else {
            // A new one, as a vector that grows leaves its old bytes behind.
            self.content = Zeroizing::new(content.to_vec());
        }
        if let Some(pages) = pages {
            self.pages.clone_from(pages);
        }
    }
}
