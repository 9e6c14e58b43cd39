package main

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Directories in which the CLI looks by itself for what `writ serve`, `writ init` and `writ dev` leave behind.
const (
	dataDirectory = "writ-data"
	devDirectory  = ".writ-dev"
)

// devEnvironment takes the variables of ./.writ-dev/env where the environment names no issuer, client or credential, so that
// `writ token` works beside a running `writ dev` without sourcing anything. It never completes what the environment
// began: the demo client's secret is for its own issuer.
func devEnvironment() error {
	for _, name := range []string{
		"WRIT_ISSUER", "WRIT_CLIENT_ID", "WRIT_CLIENT_SECRET", "WRIT_CLIENT_SECRET_FILE",
		"WRIT_PRIVATE_KEY_FILE", "WRIT_ASSERTION_FILE", "WRIT_CERTIFICATE_FILE",
	} {
		if os.Getenv(name) != "" {
			return nil
		}
	}
	values, err := readEnvironment(filepath.Join(devDirectory, "env"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for name, value := range values {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlyDev reports whether this is a directory that writ dev keeps its files in, and no other server.
func onlyDev() bool {
	_, noServer := os.Stat(dataDirectory)
	_, noDev := os.Stat(devDirectory)
	return errors.Is(noServer, os.ErrNotExist) && noDev == nil
}

// readEnvironment reads the lines `export WRIT_NAME='value'` of a file, as `writ dev` writes it.
func readEnvironment(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if found && strings.HasPrefix(name, "WRIT_") {
			values[name] = strings.Trim(value, "'")
		}
	}
	return values, lines.Err()
}

// writeEnvironment writes such a file, for its owner alone.
func writeEnvironment(path string, pairs ...string) error {
	return writePrivate(path, []byte(environmentLines(pairs...)))
}

// environmentLines returns the lines of such a file. What another client's file has set is unset first: half of it with
// half of this one would be nobody's credential.
func environmentLines(pairs ...string) string {
	var text strings.Builder
	text.WriteString("unset " + strings.Join(credentials, " ") + " " + variableDPoP + "\n")
	for i := 0; i+1 < len(pairs); i += 2 {
		text.WriteString("export " + pairs[i] + "=" + quoted(pairs[i+1]) + "\n")
	}
	return text.String()
}

// quoted makes a text one word for a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// sourceable is how a shell's "." is told of a file: a name without a slash would be looked for in PATH.
func sourceable(path string) string {
	if !strings.ContainsRune(path, '/') {
		path = "./" + path
	}
	return argument(path)
}

// argument is how a shell is told a text as one word: as it is where that does.
func argument(text string) string {
	if strings.ContainsAny(text, " '\"\\$*?&;()<>|`#~") {
		return quoted(text)
	}
	return text
}

// writePrivate replaces a file with one that only its owner can read; readers see the old or the new one, whole.
func writePrivate(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
