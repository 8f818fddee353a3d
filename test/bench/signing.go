package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"runtime"
	"sync"
	"time"
)

const bareRSA = "bare RSA-2048"

// signing measures what is the floor of a token: its signature, made on all
// cores that do nothing else.
func (b *bench) signing(context.Context) error {
	rsaRate, err := onAllCores(b.duration/2, b.signRSA)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ecRate, err := onAllCores(b.duration/2, func(digest []byte) error {
		_, err := key.Sign(rand.Reader, digest, crypto.SHA256)
		return err
	})
	b.add(row{Name: "bare RSA-2048 signing, all cores", Value: rsaRate, Unit: "/s"})
	b.add(row{Name: "bare ES256 signing, all cores", Value: ecRate, Unit: "/s", Baseline: bareRSA, Beside: rsaRate})
	return err
}

// bareRSA is measured anew for each row that stands beside it, in turns: the
// machine may have other things to do as well.
func (b *bench) bareRSA() (perSecond float64, err error) { return onAllCores(b.duration/6, b.signRSA) }

func (b *bench) signRSA(digest []byte) error {
	_, err := rsa.SignPKCS1v15(nil, b.rsa, crypto.SHA256, digest)
	return err
}

// onAllCores is how often a second all cores together can sign.
func onAllCores(duration time.Duration, sign func(digest []byte) error) (perSecond float64, err error) {
	var all sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	counts, errs := make([]int, cores), make([]error, cores)
	begin := time.Now()
	for core := range cores {
		all.Go(func() {
			digest := sha256.Sum256([]byte{byte(core)})
			n := 0
			for time.Since(begin) < duration && errs[core] == nil {
				errs[core] = sign(digest[:])
				n++
			}
			counts[core] = n
		})
	}
	all.Wait()
	elapsed := time.Since(begin)
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / elapsed.Seconds(), errors.Join(errs...)
}
