/// Pieces whose lengths follow from the data itself, so that a finding repeats.
pub(super) struct Pieces<'a> {
    rest: &'a [u8],
    state: u32,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        Self { rest: data, state: crc32fast::hash(data) | 1 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        // Short ones at the borders of fields, and long ones that reach over whole frames.
        let most = if self.state & 3 == 0 { 600 } else { 40 };
        let len = (1 + (self.state >> 8) as usize % most).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(piece)
    }
}
