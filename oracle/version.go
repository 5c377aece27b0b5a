package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"runtime/debug"
)

func runVersion(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("version", flag.ExitOnError)
	_ = flags.Parse(args)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary was built without module information")
	}
	modules := map[string]string{}
	for _, module := range info.Deps {
		modules[module.Path] = module.Version
	}
	return printJSON(os.Stdout, map[string]any{"go": info.GoVersion, "modules": modules})
}
