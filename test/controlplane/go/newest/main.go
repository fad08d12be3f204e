// Command newest is the API server of the newest Kubernetes that tests judge by; its datastore is the other module's.
package main

import (
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"

	"fairlead.dev/test/component"
)

func main() {
	component.Run(map[string]func() int{
		"kube-apiserver": func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	})
}
