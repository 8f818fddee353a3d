package devservices

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// programs are the paths of what is run.
type programs struct {
	postgres, initdb, basebackup, redis string
}

// findOrInstall finds the programs. Those that are missing are installed where this is root on a machine with apt-get.
func findOrInstall(ctx context.Context, progress func(string)) (programs, error) {
	found, missing := find()
	if len(missing) == 0 {
		return found, nil
	}
	advice := fmt.Errorf("%w: install %s (on Debian or Ubuntu: apt-get install %s)",
		ErrMissing, strings.Join(missing, " and "), strings.Join(missing, " "))
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return programs{}, advice
	}
	progress("installing " + strings.Join(missing, " and "))
	if err := (installer{root: "/", run: runCommand}).install(ctx, missing); err != nil {
		return programs{}, fmt.Errorf("%w: %w", advice, err)
	}
	if found, missing = find(); len(missing) > 0 {
		return programs{}, fmt.Errorf("%w: %s is not there after its installation", ErrMissing, strings.Join(missing, " and "))
	}
	return found, nil
}

// find gives what is there and the Debian packages of what is not.
func find() (found programs, missing []string) {
	if bin := postgresBin("/usr/lib/postgresql"); bin != "" {
		found.postgres, found.initdb = filepath.Join(bin, "postgres"), filepath.Join(bin, "initdb")
		found.basebackup = filepath.Join(bin, "pg_basebackup")
	} else {
		missing = append(missing, "postgresql")
	}
	if path, err := exec.LookPath("redis-server"); err == nil {
		found.redis = path
	} else {
		missing = append(missing, "redis-server")
	}
	return found, missing
}

// postgresBin gives the directory with postgres and initdb: the one in PATH, else the newest version below root.
func postgresBin(root string) string {
	var candidates []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	versions, _ := filepath.Glob(filepath.Join(root, "*", "bin")) // the pattern is well-formed
	slices.SortFunc(versions, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, bin := range append(candidates, versions...) {
		_, postgresErr := exec.LookPath(filepath.Join(bin, "postgres"))
		_, initdbErr := exec.LookPath(filepath.Join(bin, "initdb"))
		if postgresErr == nil && initdbErr == nil {
			return bin
		}
	}
	return ""
}

func version(bin string) float64 {
	v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64) // what is no version comes last
	return v
}
