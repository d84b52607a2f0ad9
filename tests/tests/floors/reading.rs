//! A crate's modules and what each names, read from its sources as tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Names from a crate's root to a module, or from a module to an item.
pub(crate) type Names = Vec<String>;

/// Imports may lead to imports; a longer way than this is a circle of re-exports.
const MAX_STEPS: usize = 8;

/// Stands for the items that a glob imports.
const ANY: &str = "*";

/// What one module says outside its tests.
#[derive(Default)]
struct Module {
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    /// Each imported name with the path that is imported.
    imports: BTreeMap<String, Names>,
    /// The paths below which everything is imported.
    globs: Vec<Names>,
    /// Every path in the text, except re-exports of the module's own children.
    mentions: BTreeSet<Names>,
    /// The text of the children that stand in the same file.
    inline: BTreeMap<String, TokenStream>,
}

/// The modules of one crate by their names; the root's name is empty.
#[derive(Default)]
pub(crate) struct Crate(BTreeMap<Names, Module>);

/// For each module the other modules whose items it names, with one path for each.
pub(crate) type Edges = BTreeMap<Names, BTreeMap<Names, Names>>;

impl Crate {
    /// Reads the crate whose `lib.rs` or `main.rs` stands in this folder.
    pub(crate) fn in_folder(folder: &Path) -> Crate {
        let root = ["lib.rs", "main.rs"].map(|file| folder.join(file)).into_iter().find(|file| file.exists());
        let mut read = Crate::default();
        read.file(Names::new(), &root.unwrap(), folder);
        read
    }

    /// Reads a crate that stands in one text.
    pub(crate) fn of_text(text: &str) -> Crate {
        let mut read = Crate::default();
        read.module(Names::new(), text.parse().unwrap(), Path::new(""));
        read
    }

    /// Reads a module from its file; the files of its children stand in `folder`.
    fn file(&mut self, name: Names, file: &Path, folder: &Path) {
        self.module(name, std::fs::read_to_string(file).unwrap().parse().unwrap(), folder);
    }

    fn module(&mut self, name: Names, text: TokenStream, folder: &Path) {
        let mut module = Module::default();
        let tokens = without_tests(text);
        module.read_top(&tokens);
        module.read(&tokens);
        for child in &module.children {
            let (name, folder) = ([&name[..], std::slice::from_ref(child)].concat(), folder.join(child));
            if let Some(text) = module.inline.get(child) {
                self.module(name, text.clone(), &folder);
            } else {
                let files = [folder.with_extension("rs"), folder.join("mod.rs")];
                self.file(name, files.iter().find(|file| file.exists()).unwrap(), &folder);
            }
        }
        self.0.insert(name, module);
    }

    /// The module that defines what this path, read in the module `at`, names; none for what is of another crate, and
    /// none for a module as such.
    fn home(&self, at: &[String], path: &[String], steps: usize) -> Option<Names> {
        let mut at = at.to_vec();
        for (index, part) in path.iter().enumerate() {
            let (module, rest) = (&self.0[&at], &path[index + 1..]);
            match part.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                child if module.children.contains(child) => at.push(part.clone()),
                item if item == ANY || module.items.contains(item) => return Some(at),
                _ if steps == 0 => return None,
                name => match module.imports.get(name) {
                    Some(import) => return self.home(&at, &[import, rest].concat(), steps - 1),
                    None => {
                        let path = |glob: &Names| [&glob[..], &path[index..]].concat();
                        return module.globs.iter().find_map(|glob| self.home(&at, &path(glob), steps - 1));
                    }
                },
            }
        }
        None
    }

    pub(crate) fn edges(&self) -> Edges {
        let edges = |(name, module): (&Names, &Module)| {
            let homes =
                module.mentions.iter().map(|path| Some((self.home(name, path, MAX_STEPS)?, path.clone())));
            (name.clone(), homes.flatten().filter(|(home, _)| home != name).collect())
        };
        self.0.iter().map(edges).collect()
    }
}

impl Module {
    /// Reads which items and children a module has.
    fn read_top(&mut self, tokens: &[TokenTree]) {
        const KINDS: [&str; 7] = ["struct", "enum", "trait", "fn", "type", "const", "static"];
        for (index, pair) in tokens.windows(2).enumerate() {
            let TokenTree::Ident(name) = &pair[1] else { continue };
            if KINDS.iter().any(|kind| is(&pair[0], kind)) {
                self.items.insert(name.to_string());
            } else if is(&pair[0], "mod") {
                if let TokenTree::Group(body) = &tokens[index + 2] {
                    self.inline.insert(name.to_string(), body.stream());
                }
                self.children.insert(name.to_string());
            }
        }
    }

    /// Reads imports and paths, wherever in the module they stand.
    fn read(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(word) if word == "use" && !is(&tokens[at + 1], "<") => {
                    let end = at + tokens[at..].iter().position(|token| is(token, ";")).unwrap();
                    let public = tokens[at.saturating_sub(2)..at].iter().any(|token| is(token, "pub"));
                    self.read_use(&tokens[at + 1..end], &[], public);
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" => at += 2,
                TokenTree::Ident(word) if word == "pub" => {
                    at += usize::from(matches!(tokens.get(at + 1), Some(TokenTree::Group(_))));
                }
                TokenTree::Ident(_) => {
                    let path = path(&tokens[at..]);
                    at += 3 * (path.len() - 1);
                    if path.len() > 1 {
                        self.mentions.insert(path);
                    }
                }
                TokenTree::Group(group) => self.read(&without_tests(group.stream())),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads one tree of a `use` that stands below the path `base`; what begins with `::` is of another crate.
    fn read_use(&mut self, tokens: &[TokenTree], base: &[String], public: bool) {
        if tokens.first().is_some_and(|first| is(first, ":")) {
            return;
        }
        let path = [base, &path(tokens)].concat();
        let alias = tokens.iter().position(|token| is(token, "as")).map(|at| tokens[at + 1].to_string());
        match tokens.last() {
            Some(TokenTree::Group(group)) => {
                let trees = group.stream().into_iter().collect::<Vec<_>>();
                for tree in trees.split(|token| is(token, ",")).filter(|tree| !tree.is_empty()) {
                    self.read_use(tree, &path, public);
                }
            }
            Some(star) if is(star, "*") => {
                self.globs.push(path.clone());
                self.mention([path, vec![ANY.to_owned()]].concat(), public);
            }
            _ => {
                let named = path.iter().rev().find(|part| *part != "self").unwrap();
                self.imports.insert(alias.unwrap_or_else(|| named.clone()), path.clone());
                self.mention(path, public);
            }
        }
    }

    /// Notes an imported path, unless it re-exports what a child has.
    fn mention(&mut self, path: Names, public: bool) {
        let own = path.iter().find(|part| *part != "self").is_some_and(|part| self.children.contains(part));
        if !(public && own) {
            self.mentions.insert(path);
        }
    }
}

/// The path that stands at the beginning of these tokens.
fn path(tokens: &[TokenTree]) -> Names {
    let mut names = Names::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if index % 3 == 0 => names.push(word.to_string()),
            colon if index % 3 > 0 && is(colon, ":") => {}
            _ => break,
        }
    }
    names
}

fn is(token: &TokenTree, text: &str) -> bool {
    !matches!(token, TokenTree::Group(_)) && token.to_string() == text
}

/// The tokens without attributes and without what `#[cfg(test)]` stands before.
fn without_tests(text: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = text.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let bracket = |group: &TokenTree| matches!(group, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket);
        match tokens.next_if(|next| is(&token, "#") && bracket(next)) {
            None => kept.push(token),
            Some(attribute) if attribute.to_string().replace(' ', "") == "[cfg(test)]" => {
                let ends = |token: &TokenTree| {
                    is(token, ";")
                        || matches!(token, TokenTree::Group(body) if body.delimiter() == Delimiter::Brace)
                };
                tokens.find(ends);
            }
            Some(_) => {}
        }
    }
    kept
}
