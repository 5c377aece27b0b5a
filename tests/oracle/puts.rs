//! Random sequences of puts give the bytes that bbolt 1.3.6 (op-conductor v0.9.4) gives for the same calls.
//!
//! PUTS_COUNT and PUTS_SEED in the environment run more, or others.

use crate::common::{SplitMix, ask, hex, number};
use op_conductor_init::bolt::{Db, check};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PAGE_SIZES: [usize; 3] = [4096, 16384, 65536];
/// Bytes of values a sequence may have in all, so that a run stays short.
const MOST_BYTES: usize = 6 << 20;

struct Put {
    key: Vec<u8>,
    len: usize,
    seed: u64,
}

struct Transaction {
    reopen: bool,
    bucket: &'static str,
    puts: Vec<Put>,
}

struct Sequence {
    seed: u64,
    page_size: usize,
    transactions: Vec<Transaction>,
}

impl Sequence {
    fn random(seed: u64) -> Sequence {
        let mut random = SplitMix(seed);
        let page_size = PAGE_SIZES[random.index(3)];
        let style = random.below(4);
        let mut known: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        let mut bytes = 0;
        let transactions = (0..1 + random.below(40)).map(|_| {
            let bucket = usize::from(random.below(5) == 0);
            let puts = (0..1 + random.skewed(if style == 0 { 300 } else { 20 })).map(|_| {
                let keys = &mut known[bucket];
                let key = if !keys.is_empty() && random.below(4) == 0 {
                    keys[random.index(keys.len())].clone()
                } else if style < 2 {
                    (keys.len() as u64).to_be_bytes().to_vec()
                } else {
                    let len = 1 + random.skewed(599);
                    random.bytes(len)
                };
                keys.push(key.clone());
                let most = if random.below(8) == 0 { 200 << 10 } else { 3000 };
                let len = random.skewed(most).min(MOST_BYTES - bytes);
                bytes += len;
                Put { key, len, seed: random.next() }
            });
            let puts = puts.collect();
            Transaction { reopen: random.below(5) == 0, bucket: ["logs", "conf"][bucket], puts }
        });
        Sequence { seed, page_size, transactions: transactions.collect() }
    }

    fn json(&self, file: &str) -> Value {
        let put = |put: &Put| json!({"key": hex(&put.key), "len": put.len, "seed": put.seed});
        let transaction = |tx: &Transaction| json!({"reopen": tx.reopen, "bucket": tx.bucket, "puts": tx.puts.iter().map(put).collect::<Vec<_>>()});
        let txs: Vec<Value> = self.transactions.iter().map(transaction).collect();
        json!({"file": file, "page_size": self.page_size, "txs": txs})
    }

    /// The same calls on our side.
    fn write(&self) -> Vec<u8> {
        let mut db = initialized(Db::create(Vec::new(), self.page_size).unwrap());
        for transaction in &self.transactions {
            if transaction.reopen {
                db = initialized(Db::open(db.into_storage()).unwrap());
            }
            let mut tx = db.begin().unwrap();
            for put in &transaction.puts {
                tx.put(transaction.bucket.as_bytes(), &put.key, &SplitMix(put.seed).bytes(put.len)).unwrap();
            }
            tx.commit().unwrap();
        }
        db.into_storage()
    }
}

/// What raft-boltdb's NewBoltStore does whenever it opens a file.
fn initialized(mut db: Db<Vec<u8>>) -> Db<Vec<u8>> {
    let mut tx = db.begin().unwrap();
    for bucket in ["logs", "conf"] {
        tx.create_bucket_if_not_exists(bucket.as_bytes()).unwrap();
    }
    tx.commit().unwrap();
    db
}

#[test]
fn random_puts_give_the_bytes_of_bbolt() {
    let (count, base) = (number("PUTS_COUNT", 300), number("PUTS_SEED", 1));
    println!("{count} sequences, seeds {base}..={}", base + count - 1);
    let dir = tempfile::tempdir().unwrap();
    let sequences: Vec<Sequence> = (base..base + count).map(Sequence::random).collect();
    // In batches, so that no more than a few files are on the disk at a time.
    for batch in sequences.chunks(25) {
        let path = |sequence: &Sequence| dir.path().join(format!("{}.db", sequence.seed)).to_str().unwrap().to_owned();
        let lines: Vec<String> = batch.iter().map(|sequence| sequence.json(&path(sequence)).to_string()).collect();
        let answers = ask(&["puts"], "1.7.3", &lines);
        assert_eq!(answers.len(), batch.len(), "one answer a sequence");
        for (sequence, answer) in batch.iter().zip(&answers) {
            let ours = sequence.write();
            let what = format!("seed {} (page size {})", sequence.seed, sequence.page_size);
            assert_eq!(answer["size"], ours.len(), "{what}: length of the file");
            assert_eq!(answer["sha256"], hex(&Sha256::digest(&ours)), "{what}: sha256 of the file");
            assert_eq!(check(ours.as_slice()).unwrap().problems, [], "{what}: our check of it");
        }
        let files: Vec<String> = batch.iter().map(path).collect();
        bbolt_check_is_clean(&files);
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }
}

/// `bbolt check` 1.4.3 on the files, which are equal to ours.
fn bbolt_check_is_clean(files: &[String]) {
    let mut verb = vec!["check"];
    verb.extend(files.iter().map(String::as_str));
    for answer in ask(&verb, "1.8.0", &[]) {
        assert_eq!(answer["ok"], true, "bbolt check: {answer}");
    }
}
