//! The arguments of one request: spans into its bytes, wherever those are kept.

use super::parser::Span;

/// Borrowed arguments; the first is the command's name. Copying is free.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    request: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// `spans` lie inside `request`.
    #[inline]
    pub fn new(request: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { request, spans }
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`, which must be there: arity has been checked against the table.
    #[inline(always)]
    pub fn at(&self, i: usize) -> &'a [u8] {
        self.spans[i].of(self.request)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|s| s.of(self.request))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let request = self.request;
        self.spans.iter().map(move |s| s.of(request))
    }

    /// The arguments from `n` on.
    pub fn from(&self, n: usize) -> Args<'a> {
        Args { request: self.request, spans: &self.spans[n.min(self.spans.len())..] }
    }

    /// The request as its client sent it, if these are all its arguments and it came as an array of bulk strings, whose one spelling it is
    /// then; else `None`. Only of fewer than ten arguments.
    #[inline]
    pub fn as_sent(&self) -> Option<&'a [u8]> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let [b'*', digit, b'\r', b'\n', b'$'] = *self.request.first_chunk::<5>()? else { return None };
        let count = usize::from(digit.wrapping_sub(b'0'));
        // Words that were taken apart begin at the front; what stands in front of a request's first one is its head.
        if first.start < 8 || count != self.spans.len() || count > 9 {
            return None;
        }
        let sent = self.request.get(..last.start + last.len + 2)?;
        (sent.last_chunk::<2>() == Some(b"\r\n")).then_some(sent)
    }

    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs::new(self.iter())
    }

    /// Appends the request as a client sends it.
    pub fn write_request(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("*{}\r\n", self.len()).as_bytes());
        for arg in self.iter() {
            out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Where the last one ends in the request: no fewer bytes than all arguments have together.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.spans.last().map_or(0, |s| s.start + s.len)
    }

    /// Bytes of all arguments together.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|s| s.len).sum()
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}

/// Arguments that outlive the read buffer: queued in MULTI, blocked, typed inline, or made by the server itself.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    pub fn new<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> OwnedArgs {
        let mut own = OwnedArgs::default();
        for a in args {
            own.push(a);
        }
        own
    }

    /// Forgets all arguments and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    pub fn push(&mut self, arg: &[u8]) {
        self.spans.push(Span { start: self.bytes.len(), len: arg.len() });
        self.bytes.extend_from_slice(arg);
    }

    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    /// Bytes it has allocated.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::parser::{Limits, Partial, parse};
    use proptest::prelude::*;

    fn parsed(bytes: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        let limits = Limits { bulk_len_max: 1 << 20, authenticated: true };
        parse(bytes, &mut Partial::default(), &mut spans, limits).unwrap();
        spans
    }

    proptest! {
        #[test]
        fn what_was_sent_is_what_would_be_written(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..12), more: Vec<u8>) {
            let own = OwnedArgs::new(words.iter().map(Vec::as_slice));
            let mut bytes = Vec::new();
            own.args().write_request(&mut bytes);
            let len = bytes.len();
            // The next request follows in the same buffer.
            bytes.extend_from_slice(&more);
            let spans = parsed(&bytes[..len]);
            let args = Args::new(&bytes, &spans);
            prop_assert_eq!(args.as_sent(), (words.len() < 10).then_some(&bytes[..len]));
            // Part of them is no request, and neither are words that were put together elsewhere.
            prop_assert_eq!(args.from(1).as_sent(), None);
            prop_assert_eq!(own.args().as_sent(), None);
        }
    }

    #[test]
    fn words_that_look_like_a_request_are_none() {
        let own = OwnedArgs::new([&b"*2\r\n$3\r\nGET\r\n"[..], b"k\r\n"]);
        assert_eq!(own.args().as_sent(), None);
    }
}
