package main

import (
	"fmt"
	"strings"
	"time"
)

// A table is written as Markdown, its columns as wide as they need to be.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprintf(&out, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(&out, "| %s%s ", pad, cell)
			}
		}
		out.WriteString("|\n")
	}
	line(t.head)
	for i := range t.head {
		if i == 0 {
			out.WriteString("|" + strings.Repeat("-", width[i]+2))
		} else {
			out.WriteString("|" + strings.Repeat("-", width[i]+1) + ":")
		}
	}
	out.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return out.String()
}

// whole writes a number a second.
func whole(f float64) string { return thousands(int(f + 0.5)) }

func ratio(f float64) string { return fmt.Sprintf("%.2f", f) }

// micros writes a short time; nothing where it is not known.
func micros(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func megabytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}
