//! `cargo xtask generate`: the Rust of the protobuf schema. It is checked in, so that a build needs neither schema nor compiler.

use anyhow::{Context, Result, ensure};
use prost_build::Module;
use protox::prost_reflect::prost_types::FileDescriptorSet;
use protox::prost_reflect::prost_types::field_descriptor_proto::Type;

use crate::workspace::Workspace;

const SCHEMA: &str = "crates/protocol/proto/webpubsub.proto";
const RUST: &str = "crates/protocol/src/subprotocol/protobuf/generated.rs";
/// The message that holds the user's data.
const DATA: &str = "MessageData";

/// Writes the file.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(RUST);
    std::fs::write(&path, generate(workspace)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Says so if the file is not what the schema generates.
pub(crate) fn check(workspace: &Workspace) -> Result<Option<String>> {
    let expected = generate(workspace)?;
    let is_current =
        std::fs::read(workspace.root.join(RUST)).is_ok_and(|text| text == expected.as_bytes());
    Ok((!is_current).then(|| format!("{RUST}: not what `cargo xtask generate` makes of {SCHEMA}")))
}

fn generate(workspace: &Workspace) -> Result<String> {
    let schema = workspace.root.join(SCHEMA);
    let folder = schema.parent().context("the schema is in no folder")?;
    let mut schemas = protox::compile([&schema], [folder])?;
    share_texts(&mut schemas)?;

    let requests = schemas.file.into_iter().map(|schema| {
        let module = Module::from_protobuf_package_name(schema.package());
        (module, schema)
    });
    let modules = prost_build::Config::new()
        .bytes(["."])
        .btree_map(["."])
        .generate(requests.collect())?;
    ensure!(
        modules.len() == 1,
        "{SCHEMA} makes {} modules",
        modules.len()
    );
    Ok(modules.into_values().collect())
}

/// Declares the user's texts as bytes, which are the same on the wire. They then are parts of shared buffers like all of the user's
/// data, where a `String` is one more copy for each message. The codec checks that they are UTF-8.
fn share_texts(schemas: &mut FileDescriptorSet) -> Result<()> {
    let messages = schemas
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type);
    let data = messages
        .filter(|message| message.name() == DATA)
        .flat_map(|message| &mut message.field);
    let mut count = 0;
    for field in data.filter(|field| field.r#type() == Type::String) {
        field.set_type(Type::Bytes);
        count += 1;
    }
    ensure!(count > 0, "{SCHEMA} has no texts in {DATA}");
    Ok(())
}
