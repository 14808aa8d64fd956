//! Connection ids as text (client-protocols 1.7).

use hubwire_engine::ConnectionId;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_id_is_read_back_from_its_text(
        node in any::<u16>(),
        shard in any::<u16>(),
        slot in any::<u32>(),
        random in any::<[u8; 16]>(),
    ) {
        let id = ConnectionId { node, shard, slot, random };
        let text = id.to_string();
        prop_assert_eq!(text.len(), 32);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        prop_assert_eq!(ConnectionId::parse(&text), Some(id));
    }

    #[test]
    fn text_that_is_read_is_the_only_text_of_its_id(text in "[A-Za-z0-9_-]{30,34}|\\PC{0,40}") {
        if let Some(id) = ConnectionId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn text_of_another_form_is_no_id() {
    let valid = "A".repeat(32);
    assert!(ConnectionId::parse(&valid).is_some());
    for text in [
        String::new(),
        "A".repeat(31),
        "A".repeat(33),
        "A".repeat(31) + "=",
        "A".repeat(31) + "+",
        "A".repeat(31) + "/",
        "A".repeat(31) + " ",
        "A".repeat(30) + "ü",
    ] {
        assert_eq!(ConnectionId::parse(&text), None, "{text:?}");
    }
}
