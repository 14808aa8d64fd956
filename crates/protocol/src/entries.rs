/// Names with texts, in the order they were given. A name is there once, which is found out without a look at each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    list: Vec<(String, String)>,
    /// Indexes into `list` in the order of the names.
    by_name: Vec<u16>,
    /// Bytes of all names and texts.
    total: usize,
}

impl Entries {
    /// Returns the bytes that there would be with one more entry.
    pub(crate) fn total_with(&self, name: &str, text: &str) -> usize {
        self.total + name.len() + text.len()
    }

    /// Adds an entry; gives the name back if it is there already.
    pub(crate) fn insert(&mut self, name: String, text: String) -> Result<(), String> {
        let found = self
            .by_name
            .binary_search_by(|&index| self.list[usize::from(index)].0.as_str().cmp(&name));
        let Err(place) = found else {
            return Err(name);
        };
        let index = u16::try_from(self.list.len()).map_err(|_| name.clone())?;
        self.by_name.insert(place, index);
        self.total = self.total_with(&name, &text);
        self.list.push((name, text));
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
