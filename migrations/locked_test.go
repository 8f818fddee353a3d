package migrations_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// locked are the migrations that databases have been made with. What was applied
// once is never applied again, so a change to one of these would reach new
// databases only: what is to be different is another migration.
var locked = map[string]string{
	"00001_ledger.sql":                           "8bfae0ad8d312318d4eef76a799d35f27c2770798737f31f51e748676cb5b0e3",
	"00002_read_models.sql":                      "6bbf75ddc3472177f7d009484063a529e09e788359bafcf5d5f5dfa27e73ef5d",
	"00003_write_side.sql":                       "284735d21b2389007a7e8e2fc09f085ad0e793fad6e75b33e58c80d4a266ed6d",
	"00004_delegations.sql":                      "1f87fce55419a446b0633e242c93acac1563f379a1028120db55480b242730b2",
	"00005_daily_limits.sql":                     "4d10fec706915bac8279d98b87ecbcc26f44102db4c3c602ae981a545de4a129",
	"00006_transparency.sql":                     "648e49779802f5ef0c2f8557ae1db625b0bf0581b5b9cd7cb919ef00a36e5117",
	"00007_rebuilds.sql":                         "50f6745f066be92e04c71eb2280f0d5fe11471daa2409c737baa120c47c3a88f",
	"00008_compliance.sql":                       "f866a7daae0c0bb8159736eef6443ec2eba60e807d5d3ce49f185e89a732c0af",
	"00009_verifications.sql":                    "41c7a31b21fd25c426b6cb697619f5398dad1ff38fdd1c6a03b1955fb55d31e4",
	"00010_ledger_anchor.sql":                    "d4e5543a81f3b96c17369e95764bdb983ce8876b62b6fc013c3e63cddfcaf646",
	"00011_revocation_snapshot.sql":              "5289e9bcbcdd39a691e8036019ffbd954ce1c8c400209a1c095b7755b79f1358",
	"00012_trust_nobody.sql":                     "abac758fc41f722319a49a41b832bbb3b78d3d514f6e1679cda9480a34e00b1b",
	"00013_repair_early_databases.sql":           "1878cae49322a725959a8d950d9809fb4ba65d69a62384f86106d85b3e1e9f94",
	"00014_organizations_events.sql":             "a6a240144399cb48696f54060ea131a167fce6c9cac28f57b83a938e1dc33a1f",
	"00015_delegation_credentials.sql":           "df20130070452dbb1b2f633b70c940dd94f8bd02f1bf401596c1a37245c1beab",
	"00016_audit_authority.sql":                  "c2023e3ef48a48870cda3b33e0ed1464428b619e093d7745c0374b484f071cce",
	"00017_shared_settings.sql":                  "4a48fb69a27f3f4f7e501784828c6fbec729b5a1a4d752ccb4a31b6a56a60b54",
	"00018_head_moves_once.sql":                  "5bd63f2b281ad2ccb8e9d3fe52be3ec49a65fdb055673957019f731759ed5ae3",
	"00020_delegations_of_ended_credentials.sql": "dcd15c8f49021e361e8ed041a4c3508f24b9a9ab5a16c765e5129bc5fb61607b",
	"00021_signing_key_life.sql":                 "511edfd29ad4d35b533a7a5a562b0c65f7968c5912719c9fb1093e9451328f88",
	"00022_credential_eras.sql":                  "0be05ca1b504dac582e5c889cc70fd17ed13693aa1c8b7fcef1db97236a1a2d7",
	"00024_dids.sql":                             "6b91e5f9bdd090a4222ff2c5fbb2cf6adc0303f6a9056516fe632cd9b3f64375",
	"00026_federation_partners.sql":              "aeb36d9d725f78725fc444706d43fa02865f71497eee1d68e0e2565a1c20c74a",
}

func TestMigrationsAreLocked(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		switch is := hex.EncodeToString(sum[:]); locked[file] {
		case is:
		case "":
			t.Errorf("%s is new: add it to locked, with %s", file, is)
		default:
			t.Errorf("%s was changed (its SHA-256 is %s now): databases that have it will never see that. Put it back and write another migration", file, is)
		}
	}
	for file := range locked {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s is gone: databases have it, and new ones need it", file)
		}
	}
}
