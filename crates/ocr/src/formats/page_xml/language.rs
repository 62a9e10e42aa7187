//! PAGE writes languages by their English names, everything else by code.

/// English name and ISO 639-1 code of the languages that PAGE's schema lists and old print is mostly in.
const LANGUAGES: [(&str, &str); 24] = [
    ("Catalan", "ca"),
    ("Croatian", "hr"),
    ("Czech", "cs"),
    ("Danish", "da"),
    ("Dutch", "nl"),
    ("English", "en"),
    ("Estonian", "et"),
    ("Finnish", "fi"),
    ("French", "fr"),
    ("German", "de"),
    ("Greek", "el"),
    ("Hebrew", "he"),
    ("Hungarian", "hu"),
    ("Italian", "it"),
    ("Latin", "la"),
    ("Latvian", "lv"),
    ("Norwegian", "no"),
    ("Polish", "pl"),
    ("Portuguese", "pt"),
    ("Romanian", "ro"),
    ("Russian", "ru"),
    ("Spanish", "es"),
    ("Swedish", "sv"),
    ("Yiddish", "yi"),
];

/// The code for PAGE's name; the name itself where it is not listed here.
pub(super) fn code(name: &str) -> &str {
    LANGUAGES.iter().find(|(known, _)| *known == name).map_or(name, |(_, code)| code)
}

/// PAGE's name for a code, where there is one: the schema takes no other value.
pub(super) fn name(code: &str) -> Option<&'static str> {
    let two = code.split(['-', '_']).next().unwrap_or(code);
    LANGUAGES.iter().find(|(name, known)| *known == two || *name == code).map(|(name, _)| *name)
}
