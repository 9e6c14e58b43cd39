package registry

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"
)

// Of a secret that was not made here, only its looks can be judged. What is kept of it is one SHA-256, which stands up only
// when there is nothing to guess.
const (
	wantedBits      = 240.0 // by its length and kinds of characters: 43 of base64url or 64 of hex make 256, less where a kind is missing by chance
	wantedDisorder  = 150.0 // by how often each character comes
	maxSecretLength = 1024  // authority reads no longer one
)

// weakSecret returns what is against keeping a secret, or "". It never says a part of it.
func weakSecret(secret string) string {
	switch {
	case len(secret) > maxSecretLength:
		return "is longer than 1024 bytes"
	case strings.ContainsFunc(secret, func(r rune) bool { return r < '!' || r > '~' }):
		return "has a character that is not printable ASCII, or a space"
	case strings.HasPrefix(secret, secretPrefix):
		if !sumFits(secret) {
			return "begins as a secret of Writ, and was cut or mistyped: its checksum does not fit"
		}
		return ""
	case bitsOf(secret) < wantedBits || disorder(secret) < wantedDisorder || orderly(secret):
		return "does not look like 256 random bits (such as openssl rand -base64 32 makes), and what can be guessed must not be kept"
	}
	return ""
}

// sumFits reports whether a secret of ours is whole.
func sumFits(secret string) bool {
	const sum = 6 // characters
	if len(secret) != len(newSecret()) {
		return false
	}
	text, found := secret[:len(secret)-sum], secret[len(secret)-sum:]
	want := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text)))
	return base64.RawURLEncoding.EncodeToString(want) == found
}

// bitsOf returns how many bits a text of its length holds if it was drawn from the kinds of characters that it has.
func bitsOf(text string) float64 {
	alphabet := 0
	for _, kind := range []struct {
		letters string
		size    int
	}{{"ghijklmnopqrstuvwxyz", 26}, {"GHIJKLMNOPQRSTUVWXYZ", 26}, {"0123456789", 10}} {
		if strings.ContainsAny(text, kind.letters) {
			alphabet += kind.size
		}
	}
	if alphabet <= 10 && strings.ContainsAny(text, "abcdefABCDEF") {
		alphabet += 6 // hex
	}
	return float64(len(strings.TrimRight(text, "="))) * math.Log2(float64(max(alphabet, 1)))
}

// disorder returns the bits of a text by the frequency of its characters (Shannon).
func disorder(text string) float64 {
	counts := map[rune]float64{}
	for _, r := range text {
		counts[r]++
	}
	bits := 0.0
	for _, n := range counts {
		bits -= n * math.Log2(n/float64(len(text)))
	}
	return bits
}

// orderly reports whether a text repeats itself, counts up or down, or is words: what people make up.
func orderly(text string) bool {
	steps, letters := 0, 0
	for i := range len(text) {
		if i > 0 && (text[i]-text[i-1]+1) <= 2 {
			steps++
		}
		if text[i] < '0' || text[i] > '9' {
			letters++
		}
	}
	repeats := strings.Contains((text + text)[1:2*len(text)-1], text)
	return repeats || steps > len(text)/2 || letters == len(text) && strings.ToLower(text) == text
}
