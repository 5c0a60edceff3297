"""How the widgets look, by JupyterLab's own colours where it has some, in light and dark."""

STYLE = """<style>
.fraudnet-queue select, .fraudnet-heads {
  font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.fraudnet-queue select { overflow-x: auto; line-height: 1.6; }
.fraudnet-heads { padding-left: 6px; font-weight: 600; line-height: 1.4; overflow: hidden; }
.fraudnet-banner {
  padding: 6px 10px; border-left: 5px solid #7b7b7b; line-height: 1.5;
  background: rgba(128, 128, 128, 0.12); overflow-wrap: anywhere; }
.fraudnet-yours { border-color: #009E73; background: rgba(0, 158, 115, 0.14); }
.fraudnet-others { border-color: #E69F00; background: rgba(230, 159, 0, 0.16); }
.fraudnet-status { line-height: 1.5; min-height: 1.5em; overflow-wrap: anywhere; }
.fraudnet-review :focus-visible { outline: 2px solid #56B4E9; outline-offset: 1px; }
</style>"""
