use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::aws::error::coded;
use crate::aws::query::Node;
use crate::refusal::Refusal;

/// Which stretch of a list a request wants: `MaxResults` and `NextToken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many items were told before.
    pub(crate) from: usize,
    /// How many items it may hold.
    pub(crate) most: usize,
}

const PREFIX: &str = "skyfleet-sim:";

impl Page {
    /// Reads both; without `MaxResults` a page holds `usual` items.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a size out of range, `InvalidNextToken`'s code
    /// `InvalidParameterValue` for a token that this cloud did not give.
    pub(crate) fn read(
        request: &Node<'_>,
        range: RangeInclusive<usize>,
        usual: usize,
    ) -> Result<Self, Refusal> {
        let most = request.number("MaxResults", range)?.unwrap_or(usual);
        let from = match request.text("NextToken") {
            None => 0,
            Some(token) => {
                let from = Self::after(token);
                from.ok_or_else(|| coded(400, "InvalidNextToken", format!("The token '{token}' is invalid")))?
            }
        };
        Ok(Self { from, most })
    }

    /// How many items a token says were told before; `None` for one that this cloud did not give.
    pub(crate) fn after(token: &str) -> Option<usize> {
        let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
        text.strip_prefix(PREFIX)?.parse().ok()
    }

    /// The page's items out of all, and the token of the next page, if there is one.
    pub(crate) fn cut<T>(self, items: impl IntoIterator<Item = T>) -> (Vec<T>, Option<String>) {
        let mut items = items.into_iter().skip(self.from);
        let page: Vec<T> = items.by_ref().take(self.most).collect();
        let next = items.next().is_some().then(|| self.token());
        (page, next)
    }

    /// The token of the page after this one.
    pub(crate) fn token(self) -> String {
        STANDARD.encode(format!("{PREFIX}{}", self.from + self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;

    #[test]
    fn pages_follow_each_other_and_cover_the_list() {
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let query =
                Query::parse(format!("MaxResults=7&NextToken={}", token.replace('=', "%3D")).as_bytes());
            let page = Page::read(&query.root(), 5..=1_000, 100).unwrap();
            let (items, next) = page.cut(0..20);
            seen.extend(items);
            match next {
                Some(next) => token = next,
                None => break,
            }
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        let wrong = Query::parse(b"NextToken=bm9uc2Vuc2U%3D");
        assert!(Page::read(&wrong.root(), 5..=1_000, 100).is_err());
        let small = Query::parse(b"MaxResults=4");
        assert!(Page::read(&small.root(), 5..=1_000, 100).is_err());
    }
}
