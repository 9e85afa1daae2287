//! Command lines with marked secrets, harmless ones, and every secret in every place.

use proptest::{prelude::*, sample::select};

use super::*;

const SECRETS: &str = include_str!("../testdata/secrets.tsv");
const HARMLESS: &str = include_str!("../testdata/harmless.tsv");

/// As much of a secret gives it away.
const TELLING: usize = 6;

fn told(args: &[String]) -> Vec<String> {
    let bytes: Vec<u8> = args.iter().flat_map(|arg| arg.bytes().chain([0])).collect();
    redacted(&bytes, false)
}

/// A line without its marks, and what stood between them.
fn unmarked(line: &str) -> (Vec<String>, Vec<String>) {
    let secrets = line.split('⟦').skip(1).map(|rest| rest.split('⟧').next().unwrap().to_owned());
    let plain = line.replace(['⟦', '⟧'], "");
    (plain.split('\t').map(str::to_owned).collect(), secrets.collect())
}

fn left_of(secret: &str, told: &[String]) -> bool {
    let parts: Vec<String> = match secret.chars().count() {
        0..TELLING => vec![secret.to_owned()],
        count => {
            let first = secret.chars().take(TELLING).collect();
            vec![first, secret.chars().skip(count - TELLING).collect()]
        }
    };
    parts.iter().any(|part| told.iter().any(|arg| arg.contains(part.as_str())))
}

#[test]
fn no_secret_of_the_corpus_survives() {
    assert!(SECRETS.lines().count() >= 150);
    let mut survived = Vec::new();
    for line in SECRETS.lines() {
        let (args, secrets) = unmarked(line);
        assert!(!secrets.is_empty(), "{line}");
        let told = told(&args);
        assert_eq!(told.len(), args.len(), "{line}");
        survived.extend(secrets.iter().filter(|secret| left_of(secret, &told)).map(|_| format!("{line} -> {told:?}")));
    }
    assert!(survived.is_empty(), "{} survived:\n{}", survived.len(), survived.join("\n"));
}

#[test]
fn what_is_harmless_stays_readable() {
    assert!(HARMLESS.lines().count() >= 50);
    let changed = HARMLESS.lines().filter_map(|line| {
        let args: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let told = told(&args);
        (told != args).then(|| format!("{line} -> {told:?}"))
    });
    let changed: Vec<String> = changed.collect();
    assert!(changed.is_empty(), "{} changed:\n{}", changed.len(), changed.join("\n"));
}

#[test]
fn names_and_places_stay_beside_the_mask() {
    for (line, expected) in [
        ("mysql\t-phunter2\tshop", "mysql -p[redacted] shop"),
        ("curl\t-u\tbob:hunter2\thttps://a.example", "curl -u bob:[redacted] https://a.example"),
        ("curl\t-d\tuser=bob&password=x1&lang=de", "curl -d user=bob&password=[redacted]&lang=de"),
        ("tool\t{\"password\":\"x1\",\"a\":\"b\"}", "tool {\"password\":\"[redacted]\",\"a\":\"b\"}"),
        ("tool\tServer=db;Password=x1;Encrypt=yes", "tool Server=db;Password=[redacted];Encrypt=yes"),
        ("psql\tpostgres://app:x1@db:5432/shop", "psql postgres://[redacted]@db:5432/shop"),
        ("sh\t-c\tTOKEN=x1 ./run --fast", "sh -c TOKEN=[redacted] ./run --fast"),
    ] {
        assert_eq!(told(&unmarked(line).0).join(" "), expected);
    }
}

#[test]
fn what_was_cut_is_masked_unless_it_can_be_no_secret() {
    assert_eq!(redacted(b"tool\0ghp_ab", true), ["tool", MASK]);
    assert_eq!(redacted(b"tool\0https://bob:hunt", true), ["tool", MASK]);
    assert_eq!(redacted(b"tool\0/usr/share/doc", true), ["tool", "/usr/share/doc"]);
    assert_eq!(redacted(b"tool\0--verb", true), ["tool", "--verb"]);
    assert_eq!(redacted(b"tool\0--password\0/abc", true), ["tool", "--password", MASK]);
    assert_eq!(redacted(b"tool\0plain\0", true), ["tool", "plain"]);
    assert_eq!(redacted(b"tool\0plain", false), ["tool", "plain"]);
    assert_eq!(redacted(b"", false), [""; 0]);
    assert_eq!(redacted(b"a\0\0b\0", false), ["a", "", "b"]);
}

/// Where a secret may stand; `@` is replaced by it.
const TEMPLATES: [&str; 30] = [
    "app\t--password\t@",
    "app\t--password=@",
    "app\t-password\t@",
    "app\t--db-token=@",
    "env\tSECRET_KEY=@\tapp",
    "app\t-e\tTOKEN=@",
    "app\t--env=API_TOKEN=@",
    "mysql\t-p@\tshop",
    "redis-cli\t-a\t@",
    "sshpass\t-p\t@\tssh\thost",
    "curl\t-u\tbob:@\thttps://a.example",
    "curl\t-H\tAuthorization: Bearer @",
    "curl\t-H\tX-Api-Key: @",
    "curl\thttps://a.example/?page=1&access_token=@&x=y",
    "curl\thttps://bob:@@a.example/x",
    "curl\t-d\t{\"user\":\"bob\",\"password\":\"@\"}",
    "curl\t-d\t{\"user\": \"bob\", \"password\": \"@\", \"x\": 1}",
    "app\tServer=db;Password=@;Encrypt=yes",
    "app\tServer=db; Password=@; Encrypt=yes",
    "openssl\trsa\t-passin\tpass:@",
    "sh\t-c\tmysql -p'@' shop",
    "sh\t-c\tPGPASSWORD='@' psql",
    "sh\t-c\tcurl -H 'Authorization: Bearer @' https://a.example",
    "sh\t-c\tcurl -H \"X-Auth-Token: @\" https://a.example",
    "sh\t-c\techo '@' | docker login --password-stdin",
    "sh\t-c\tsshpass -p '@' ssh host",
    "sh\t-c\tapp --token '@' --verbose",
    "ssh\thost\tapp --password '@'",
    "mount\t-o\tuser=bob,password=@,vers=3",
    "docker\tlogin\t-u\tbob\t-p\t@",
];

/// Of characters that no template gives a meaning of its own.
fn any_secret() -> impl Strategy<Value = String> {
    let marked: Vec<String> = SECRETS.lines().flat_map(|line| unmarked(line).1).collect();
    let fits = |secret: &String| {
        secret.len() >= TELLING && secret.chars().all(|c| c.is_ascii_alphanumeric() || "!#%^*_+.~/=-:".contains(c))
    };
    let marked: Vec<String> = marked.into_iter().filter(fits).collect();
    prop_oneof![select(marked), "[A-Za-z0-9!#%^*_+.~-]{6,40}", "[a-z]{6,12}", "[0-9]{6,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_secret_survives_in_any_place(secret in any_secret(), template in select(&TEMPLATES[..])) {
        let around: String = template.replace('@', "");
        // What stands around it anyway gives nothing away.
        prop_assume!(!left_of(&secret, &[around, MASK.to_owned()]));
        let line = template.replacen('@', &secret, 1);
        let args: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let told = told(&args);
        prop_assert!(!left_of(&secret, &told), "{:?} -> {:?}", args, told);
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..300), is_cut: bool) {
        let told = redacted(&bytes, is_cut);
        prop_assert!(told.iter().map(String::len).sum::<usize>() <= 4 * bytes.len() + MASK.len() * (bytes.len() + 1));
    }

    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}", script in "[ -~]{0,200}") {
        let told = told(&["sh".to_owned(), "-c".to_owned(), script, text]);
        prop_assert_eq!(told.len(), 4);
    }
}
