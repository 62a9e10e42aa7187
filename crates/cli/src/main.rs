//! `crowdread`: the one binary. It reads settings, plugs the rooms together, and runs them; what the rooms do is theirs.

mod address;
mod command;
mod console;
mod failure;
#[cfg(feature = "faults")]
mod faults;
mod folder;
mod interrupt;
mod owner;
mod server;
mod settings;

use clap::{Parser, Subcommand};

/// Records are many small pieces of memory, taken by one thread and given back by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Scanned pages in, a crowd's verdict on every word, corrected pages out.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at once: sample pages, a simulated crowd, the report, and the pages to open
    Demo(command::demo::Args),
    /// Read images with the tesseract program
    Ocr(command::ocr::Args),
    /// Take OCR files (PAGE XML, ALTO, hOCR, Tesseract TSV) and their images into a collection
    Import(command::import::Args),
    /// Serve the pages to readers, take their answers, and land them in the table
    Serve(command::serve::Args),
    /// Print the settings in force, and where each comes from
    Config(command::serve::Args),
    /// Let a simulated crowd read on a running server
    Crowd(command::crowd::Args),
    /// Tell how accurate the engine is, what was mended, and who read how well
    Report(command::report::Args),
    /// Write the corrected pages: each in the format that it came in, or all in another
    Export(command::export::Args),
    /// Compare OCR files with true text: words right, words without a box, CER and WER
    Evaluate(command::evaluate::Args),
    /// Infer true labels from a file of item, worker, label
    Infer(command::infer::Args),
    /// Make, list and revoke write tokens: who may send records to which topics
    Token(command::token::Args),
    /// Look at records that were rejected, and send them again once the topic takes them
    DeadLetters(command::dead_letters::Args),
    /// Count again whether every stored record is in its table once, or why it is not, by topic and minute
    Audit(command::audit::Args),
    /// Copy a data folder whole, also beside a running server
    Backup(command::backup::BackupArgs),
    /// Make a data folder of a backup
    Restore(command::backup::RestoreArgs),
    /// Look at a journal: what is in it, and whether it is whole
    Journal(command::journal::Args),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    failure::start_log();
    #[cfg(feature = "faults")]
    let _armed = match faults::arm() {
        Ok(armed) => armed,
        Err(error) => return failure::exit_code(Err(error.into())),
    };
    let result = match cli.command {
        Command::Demo(args) => command::demo::run(args),
        Command::Ocr(args) => command::ocr::run(args),
        Command::Import(args) => command::import::run(args),
        Command::Serve(args) => command::serve::run(args),
        Command::Config(args) => command::serve::print_config(args),
        Command::Crowd(args) => command::crowd::run(args),
        Command::Report(args) => command::report::run(args),
        Command::Export(args) => command::export::run(args),
        Command::Evaluate(args) => command::evaluate::run(args),
        Command::Infer(args) => command::infer::run(args),
        Command::Token(args) => command::token::run(args),
        Command::DeadLetters(args) => command::dead_letters::run(args),
        Command::Audit(args) => command::audit::run(args),
        Command::Backup(args) => command::backup::back_up(args),
        Command::Restore(args) => command::backup::restore(args),
        Command::Journal(args) => command::journal::run(args),
    };
    failure::exit_code(result)
}
