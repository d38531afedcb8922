//! The commands as permissions see them: number, name, row, and which are parts of which.

use crate::spec::CommandSpec;
use std::collections::HashMap;

/// One command or subcommand.
#[derive(Clone, Debug)]
pub struct Fact {
    /// `get`, `config|get`: the name it has in its row, whatever it was renamed to.
    pub name: String,
    pub spec: &'static CommandSpec,
    /// Numbers of its subcommands.
    pub subcommands: Vec<u16>,
    /// It is a subcommand.
    pub is_part: bool,
}

/// All commands by number.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    facts: Vec<Fact>,
    by_name: HashMap<String, u16>,
}

impl Catalog {
    /// `facts` stand in the order of their numbers, which start at 0.
    pub fn new(facts: Vec<Fact>) -> Catalog {
        let by_name = facts.iter().enumerate().map(|(id, fact)| (fact.name.clone(), id as u16)).collect();
        Catalog { facts, by_name }
    }

    /// The number of a command by its full name, in any case.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    pub fn get(&self, id: u16) -> &Fact {
        &self.facts[usize::from(id)]
    }

    pub fn len(&self) -> usize {
        self.facts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Number and command, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Fact)> {
        self.facts.iter().enumerate().map(|(id, fact)| (id as u16, fact))
    }
}
