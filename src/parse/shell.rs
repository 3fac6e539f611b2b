//! Command lines: as a shell reads them, as libvirt logs them, as `ps` prints them.

/// Cuts a command line into words as a POSIX shell does: blanks part words, single and double
/// quotes and backslashes keep them together. Expansions are left alone; a quote that is never
/// closed ends with the text.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"') | None, '\\') => {
                if let Some(next) = chars.next()
                    && next != '\n'
                {
                    word.get_or_insert_default().push(next);
                }
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Cuts a command line whose quoting is lost, as in `ps`: blanks part words, but not inside
/// braces, so that `{"a": 1}` stays one word.
pub fn plain_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_line_continuations() {
        let text = "/usr/bin/qemu \\\n-object '{\"a\": 1}' \\\n-name \"my vm\" -x a\\ b ''";
        let expected =
            ["/usr/bin/qemu", "-object", "{\"a\": 1}", "-name", "my vm", "-x", "a b", ""];
        assert_eq!(words(text), expected);
    }

    #[test]
    fn an_open_quote_ends_with_the_text() {
        assert_eq!(words("a 'b c"), ["a", "b c"]);
        assert_eq!(words("a \\"), ["a"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn braces_hold_words_of_ps_together() {
        assert_eq!(
            plain_words("-object {\"a\": 1, \"b\":2} -cpu host"),
            ["-object", "{\"a\": 1, \"b\":2}", "-cpu", "host"]
        );
        assert_eq!(plain_words("} a b"), ["}", "a", "b"]);
    }
}
