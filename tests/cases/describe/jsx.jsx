// Shows a list.
export const List = ({ items, onPick = () => {} }) => {
  return <ul title="it's">{items.map((item) => <li>{item}</li>)}</ul>;
};

/** Don't. */
export default function App(props) { return <p>Don't (</p>; }
